//! New tokens that let a node in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use keymoot_crypto::{JoinToken, RandomError};
use keymoot_model::{ClusterName, Fingerprint, MasterKeyVerifier};
use keymoot_state::JoinTokenRecord;

use super::Operation;
use crate::clock::now_ms;

/// For how long a token is good: at least some time, and no longer than [`Self::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLife(Duration);

/// No token lives so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token lives for at most {}h", TokenLife::MAX.as_secs() / 3600)]
pub struct TokenLifeError;

impl TokenLife {
    /// The longest. The node that is asked holds tokens to it, too.
    pub const MAX: Duration = JoinTokenRecord::LIFE_MAX;

    /// This long.
    ///
    /// # Errors
    /// [`TokenLifeError`] when it is longer than the longest, or no time at all.
    pub fn new(life: Duration) -> Result<Self, TokenLifeError> {
        if life > Self::MAX || life.is_zero() {
            return Err(TokenLifeError);
        }
        Ok(Self(life))
    }

    /// In whole seconds.
    pub fn as_s(self) -> u64 {
        self.0.as_secs()
    }
}

/// A token that was drawn now. The cluster knows it once `Self::record` is added.
#[derive(Debug)]
pub struct NewToken {
    /// The token, for whoever sets up the new node.
    pub token: JoinToken,
    record: JoinTokenRecord,
}

/// What the cluster stores of a new token: no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "TokenParameters", from = "TokenParameters")]
pub struct TokenRecord(JoinTokenRecord);

/// The same in JSON. A new token is neither used nor revoked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenParameters {
    #[serde(with = "id")]
    id: [u8; 8],
    /// SHA-256 of the token's secret, as the token states it.
    secret_digest: Fingerprint,
    expires_at_ms: u64,
    #[serde(default)]
    learner: bool,
    #[serde(default)]
    zone: Option<String>,
}

impl From<TokenRecord> for TokenParameters {
    fn from(TokenRecord(record): TokenRecord) -> Self {
        Self {
            id: record.id,
            secret_digest: Fingerprint::from_bytes(record.secret_digest),
            expires_at_ms: record.expires_at_ms,
            learner: record.learner,
            zone: record.zone,
        }
    }
}

impl From<TokenParameters> for TokenRecord {
    fn from(own: TokenParameters) -> Self {
        Self(JoinTokenRecord {
            id: own.id,
            secret_digest: *own.secret_digest.as_bytes(),
            expires_at_ms: own.expires_at_ms,
            learner: own.learner,
            zone: own.zone,
            revoked: false,
            spent: None,
        })
    }
}

/// A token's id in JSON: 16 hexadecimal digits.
pub(super) mod id {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use keymoot_crypto::{token_id_of, token_id_text};

    pub(in crate::admin) fn serialize<S: Serializer>(id: &[u8; 8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&token_id_text(id))
    }

    pub(in crate::admin) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<[u8; 8], D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("a token's id is 16 hexadecimal digits");
        token_id_of(&text).ok_or_else(wrong)
    }
}

impl TokenRecord {
    pub(super) fn into_stored(self) -> JoinTokenRecord {
        self.0
    }
}

impl NewToken {
    /// Draws a token of a cluster and its authority's certificate. The node that it lets in is in `zone`,
    /// whatever that node says, and does not vote if it is a `learner`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn draw(
        cluster: ClusterName,
        authority: [u8; 32],
        life: TokenLife,
        zone: Option<String>,
        learner: bool,
    ) -> Result<Self, RandomError> {
        Ok(Self::of(JoinToken::generate(cluster, authority)?, life, zone, learner))
    }

    /// Draws a token for a witness, which believes who holds the master key of `verifier`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn draw_for_witness(
        cluster: ClusterName,
        authority: [u8; 32],
        verifier: MasterKeyVerifier,
        life: TokenLife,
        zone: Option<String>,
    ) -> Result<Self, RandomError> {
        let token = JoinToken::generate_for_witness(cluster, authority, verifier)?;
        Ok(Self::of(token, life, zone, false))
    }

    fn of(token: JoinToken, life: TokenLife, zone: Option<String>, learner: bool) -> Self {
        let life_ms = u64::try_from(life.0.as_millis()).unwrap_or(u64::MAX);
        let record = JoinTokenRecord {
            id: token.id,
            secret_digest: token.digest(),
            expires_at_ms: now_ms().saturating_add(life_ms),
            learner,
            zone,
            revoked: false,
            spent: None,
        };
        Self { token, record }
    }

    /// What makes the cluster know it.
    pub fn addition(&self) -> Operation {
        let record = TokenRecord(self.record.clone());
        match self.token.verifier {
            None => Operation::AddToken(record),
            Some(_) => Operation::AddWitnessToken(record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_for_a_week_at_most() {
        assert_eq!(TokenLife::new(TokenLife::MAX).map(TokenLife::as_s), Ok(604_800));
        assert_eq!(TokenLife::new(TokenLife::MAX + Duration::from_millis(1)), Err(TokenLifeError));
        assert_eq!(TokenLife::new(Duration::ZERO), Err(TokenLifeError));
        assert_eq!(TokenLifeError.to_string(), "a token lives for at most 168h");
    }
}
