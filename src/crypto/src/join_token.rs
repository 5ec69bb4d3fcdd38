//! Tokens that admit one new node to a cluster: a public id, a secret, and the fingerprint of the authority
//! that members must prove, so that the new node shows its secret to no other server. One for a witness also has
//! what tells who holds a master key, since a witness has none to compare.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use keymoot_model::{ClusterName, MasterKeyId, MasterKeyVerifier};

use super::{RandomError, random_bytes};

/// The prefix of every token for a node; the number is the version of the format.
const PREFIX: &str = "kmjoin1";
/// The prefix of every token for a witness.
const WITNESS_PREFIX: &str = "kmwitness1";
/// The domain that the digest of a secret starts with, so that it equals no digest made for another purpose.
const DIGEST_DOMAIN: &[u8] = b"keymoot/join-token/1";

/// The secret half of a token. It is sent once, to a member whose authority was checked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct JoinSecret([u8; 32]);

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(redacted)")
    }
}

impl JoinSecret {
    /// The digest of the secret, which the cluster stores.
    pub fn digest(&self, id: &[u8; 8]) -> [u8; 32] {
        Sha256::new().chain_update(DIGEST_DOMAIN).chain_update(id).chain_update(self.0).finalize().into()
    }
}

/// A token as the operator of the new node receives it.
#[derive(Debug)]
pub struct JoinToken {
    /// The cluster that it gives access to.
    pub cluster: ClusterName,
    pub id: [u8; 8],
    pub secret: JoinSecret,
    /// SHA-256 of the certificate of the cluster's authority.
    pub authority: [u8; 32],
    /// What tells the new node who holds a master key, if it is to be a witness.
    pub verifier: Option<MasterKeyVerifier>,
}

/// The text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: it must be copied whole, as `keymoot cluster token create` printed it")]
pub struct JoinTokenError;

impl JoinToken {
    /// Draws a new token.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system's source fails.
    pub fn generate(cluster: ClusterName, authority: [u8; 32]) -> Result<Self, RandomError> {
        let (id, secret) = (random_bytes()?, JoinSecret(random_bytes()?));
        Ok(Self { cluster, id, secret, authority, verifier: None })
    }

    /// Draws a new token for a witness.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system's source fails.
    pub fn generate_for_witness(
        cluster: ClusterName,
        authority: [u8; 32],
        verifier: MasterKeyVerifier,
    ) -> Result<Self, RandomError> {
        Ok(Self { verifier: Some(verifier), ..Self::generate(cluster, authority)? })
    }

    /// The token as text. It gives access to the cluster: show it once, to the operator, and nowhere else.
    pub fn expose(&self) -> Zeroizing<String> {
        let (prefix, key, name): (_, &[u8], &[u8]) = match &self.verifier {
            None => (PREFIX, &[], &[]),
            Some(verifier) => (WITNESS_PREFIX, &verifier.public_key, verifier.master_key.0.as_bytes()),
        };
        let bytes = Zeroizing::new([&self.id[..], &self.secret.0, &self.authority, key, name].concat());
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        Zeroizing::new(format!("{prefix}.{}.{}", self.cluster, encoded.as_str()))
    }

    /// The digest of the secret, which the cluster stores.
    pub fn digest(&self) -> [u8; 32] {
        self.secret.digest(&self.id)
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let mut parts = text.trim().split('.');
        let (Some(prefix @ (PREFIX | WITNESS_PREFIX)), Some(cluster), Some(encoded), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JoinTokenError);
        };
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JoinTokenError)?);
        let (id, rest) = bytes.split_first_chunk::<8>().ok_or(JoinTokenError)?;
        let (secret, rest) = rest.split_first_chunk::<32>().ok_or(JoinTokenError)?;
        let (authority, rest) = rest.split_first_chunk::<32>().ok_or(JoinTokenError)?;
        let verifier = match prefix {
            PREFIX if rest.is_empty() => None,
            PREFIX => return Err(JoinTokenError),
            _ => Some(verifier_of(rest).ok_or(JoinTokenError)?),
        };
        Ok(Self {
            cluster: ClusterName::new(cluster).map_err(|_| JoinTokenError)?,
            id: *id,
            secret: JoinSecret(*secret),
            authority: *authority,
            verifier,
        })
    }
}

fn verifier_of(bytes: &[u8]) -> Option<MasterKeyVerifier> {
    let (public_key, name) = bytes.split_first_chunk::<32>()?;
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty())?;
    Some(MasterKeyVerifier { master_key: MasterKeyId(name.to_owned()), public_key: *public_key })
}

/// The id of a token as people read and type it.
pub fn token_id_text(id: &[u8; 8]) -> String {
    base16ct::lower::encode_string(id)
}

/// Reads back [`token_id_text`].
pub fn token_id_of(text: &str) -> Option<[u8; 8]> {
    base16ct::mixed::decode_vec(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken::generate(ClusterName::new("moot-1").unwrap(), [7; 32]).unwrap()
    }

    #[test]
    fn a_token_reads_back_from_its_text_and_from_nothing_else() {
        let token = token();
        let text = token.expose();
        let back: JoinToken = format!(" {}\n", text.as_str()).parse().unwrap();
        assert_eq!((back.id, &back.secret, back.authority), (token.id, &token.secret, [7; 32]));
        assert_eq!(back.cluster.as_str(), "moot-1");
        assert_eq!(back.digest(), token.digest());
        let short = &text[..text.len() - 1];
        for bad in
            ["", "kmjoin1", "kmjoin1.moot.", "kmjoin2.moot.AAAA", short, &format!("{}.x", text.as_str())]
        {
            assert_eq!(bad.parse::<JoinToken>().err(), Some(JoinTokenError), "{bad}");
        }
    }

    #[test]
    fn a_token_for_a_witness_says_so_and_whom_the_witness_may_believe() {
        let verifier = MasterKeyVerifier { master_key: MasterKeyId("mk1".to_owned()), public_key: [9; 32] };
        let cluster = ClusterName::new("moot").unwrap();
        let token = JoinToken::generate_for_witness(cluster, [7; 32], verifier.clone()).unwrap();
        let text = token.expose();
        assert!(text.starts_with("kmwitness1.moot."));
        let back: JoinToken = text.parse().unwrap();
        assert_eq!((back.digest(), back.authority, back.verifier), (token.digest(), [7; 32], Some(verifier)));
        let renamed = text.replacen(WITNESS_PREFIX, PREFIX, 1);
        assert_eq!(renamed.parse::<JoinToken>().err(), Some(JoinTokenError), "it passes for no other kind");
        let own = self::token().expose().replacen(PREFIX, WITNESS_PREFIX, 1);
        assert_eq!(own.parse::<JoinToken>().err(), Some(JoinTokenError));
    }

    #[test]
    fn a_secret_shows_in_no_debug_text_and_its_digest_depends_on_the_id() {
        let token = token();
        assert!(!format!("{token:?}").contains(&format!("{:?}", token.secret.0)));
        assert!(format!("{token:?}").contains("redacted"));
        assert_ne!(token.secret.digest(&[1; 8]), token.secret.digest(&[2; 8]));
    }

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = [0, 1, 2, 3, 4, 5, 6, 255];
        assert_eq!(token_id_text(&id), "00010203040506ff");
        assert_eq!(token_id_of("00010203040506ff"), Some(id));
        for bad in ["", "0", "+0010203040506ff", "00010203040506fg"] {
            assert_eq!(token_id_of(bad), None, "{bad}");
        }
    }
}
