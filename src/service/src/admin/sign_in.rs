//! Signing in with name, password and one-time code, for a session that opens what the operator's certificate would.
//!
//! Whatever is wrong, the answer and the time that it takes are the same: an unknown name, one without a password, a wrong
//! password, a wrong or used code.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use keymoot_cluster::{Cluster, ClusterError};
use keymoot_crypto::{
    CodeSecret, Keyring, PasswordError, SecretBytes, UnwrapError, WrapError, hash_password, is_password,
    random_bytes, verify_nothing,
};
use keymoot_model::{Fingerprint, OperatorName, Role, SignInSecret};
use keymoot_state as state;
use keymoot_state::{SignInChange, SignInRecord, StateError};

use super::Password;
use super::administration::CONFIRMED_WITHIN;
use super::guesses::{Guesser, Guesses};
use crate::clock::now_ms;

/// How many passwords are hashed at once: each takes 19 MiB and a core for a while.
const HASHED_AT_ONCE: usize = 2;
/// How long somebody waits for a turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// What somebody signs in with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInAttempt {
    /// As it was typed: it may be nobody's.
    pub name: String,
    pub password: Password,
    /// The six digits that the authenticator app shows.
    pub code: Zeroizing<String>,
}

/// A session that began.
#[derive(Serialize)]
pub struct SignedIn {
    /// What opens the session, as `Authorization: Bearer`. Nobody keeps it but the caller.
    pub token: Zeroizing<String>,
    pub operator: OperatorName,
    pub roles: Vec<Role>,
    /// Whether nothing but another password can be asked for.
    pub must_change_password: bool,
    /// When it ends, if it is used until then: milliseconds since 1970 UTC.
    pub ends_at_ms: u64,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// For the audit it says whose name it was; whoever asks is not told.
    #[error("the name, the password or the code is wrong, or the code was used already")]
    Wrong(Option<OperatorName>),
    #[error("there were too many attempts: wait for {} s", .0.as_secs() + 1)]
    Slowed(Duration),
    #[error("many sign in at once; try again")]
    Busy,
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("what the operator signs in with does not open here")]
    Sealed(#[from] UnwrapError),
    #[error("what the operator signs in with cannot be made: {0}")]
    Making(String),
}

impl From<PasswordError> for SignInError {
    fn from(error: PasswordError) -> Self {
        Self::Making(error.to_string())
    }
}

impl From<WrapError> for SignInError {
    fn from(error: WrapError) -> Self {
        Self::Making(error.to_string())
    }
}

/// Where operators sign in and set their passwords.
pub(super) struct SignInDesk {
    cluster: Cluster,
    keyring: Arc<Keyring>,
    hashing: Arc<Semaphore>,
    guesses: Guesses,
}

/// SHA-256 of a session's token, by which the state knows it. `None`: the text is no token.
pub fn session_digest(token: &str) -> Option<Fingerprint> {
    let token = Zeroizing::new(URL_SAFE_NO_PAD.decode(token).ok()?);
    (token.len() == 32).then(|| digest_of(&token))
}

fn digest_of(token: &[u8]) -> Fingerprint {
    Fingerprint::from_bytes(Sha256::digest(token).into())
}

impl SignInDesk {
    pub(super) fn new(cluster: Cluster, keyring: Arc<Keyring>) -> Self {
        let hashing = Arc::new(Semaphore::new(HASHED_AT_ONCE));
        Self { cluster, keyring, hashing, guesses: Guesses::default() }
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`SignInError`] says why not.
    pub(super) async fn sign_in(
        &self,
        attempt: SignInAttempt,
        from: IpAddr,
    ) -> Result<SignedIn, SignInError> {
        let guesser = Guesser::new(from, &attempt.name);
        self.guesses.begin(&guesser, Instant::now()).map_err(SignInError::Slowed)?;
        self.cluster.read_barrier_within(CONFIRMED_WITHIN).await?;
        let name = OperatorName::new(&attempt.name).ok();
        let known = match &name {
            Some(name) => state::sign_in(self.cluster.state(), name)?,
            None => None,
        };
        let hash = match &known {
            Some((operator, record)) => Some(self.open(&operator.name, SignInSecret::Password, record)?),
            None => None,
        };
        let is_right = self.hashed(move || match &hash {
            Some(hash) => is_password(hash, attempt.password.as_bytes()),
            None => {
                verify_nothing(attempt.password.as_bytes());
                false
            }
        });
        let is_right = is_right.await?;
        let (operator, record) = known.ok_or(SignInError::Wrong(None))?;
        let codes = CodeSecret::from_secret(self.open(&operator.name, SignInSecret::Codes, &record)?);
        let step = code_of(&attempt.code).and_then(|code| codes.step_of(code, now_ms() / 1000));
        let Some(step) = step.filter(|_| is_right && operator.revoked_at_ms.is_none()) else {
            return Err(SignInError::Wrong(Some(operator.name)));
        };
        let token =
            Zeroizing::new(random_bytes::<32>().map_err(|error| SignInError::Making(error.to_string()))?);
        let began = self.cluster.change_sign_in(SignInChange::Begin {
            name: operator.name.clone(),
            version: record.version,
            step,
            digest: digest_of(&*token),
            from: from.to_string(),
        });
        match began.await {
            Ok(_) => {}
            // The code was used, or the password changed meanwhile.
            Err(ClusterError::Refused(_)) => return Err(SignInError::Wrong(Some(operator.name))),
            Err(error) => return Err(error.into()),
        }
        self.guesses.forget(&guesser);
        Ok(SignedIn {
            token: Zeroizing::new(URL_SAFE_NO_PAD.encode(token.as_slice())),
            operator: operator.name,
            roles: operator.roles,
            must_change_password: record.must_change,
            ends_at_ms: now_ms().saturating_add(state::SESSION_LIFE_MS),
        })
    }

    /// Whether this is the operator's password, asked for by one who has a session already.
    pub(super) async fn knows_password(
        &self,
        name: &OperatorName,
        password: Password,
        from: IpAddr,
    ) -> Result<bool, SignInError> {
        let guesser = Guesser::new(from, name.as_str());
        self.guesses.begin(&guesser, Instant::now()).map_err(SignInError::Slowed)?;
        let Some((_, record)) = state::sign_in(self.cluster.state(), name)? else { return Ok(false) };
        let hash = self.open(name, SignInSecret::Password, &record)?;
        let knows = self.hashed(move || is_password(&hash, password.as_bytes())).await?;
        if knows {
            self.guesses.forget(&guesser);
        }
        Ok(knows)
    }

    /// Sets a password, on the word of `by`. Returns what an authenticator app takes, if it needs another secret.
    pub(super) async fn set_password(
        &self,
        name: OperatorName,
        by: OperatorName,
        password: Password,
        new_codes: bool,
    ) -> Result<Option<SecretBytes>, SignInError> {
        let before = state::sign_in(self.cluster.state(), &name)?;
        // Whoever set a first password has seen the secret that came with it.
        let is_known = before.is_none_or(|(_, record)| record.must_change);
        let codes = match new_codes || is_known {
            true => Some(CodeSecret::generate().map_err(|error| SignInError::Making(error.to_string()))?),
            false => None,
        };
        let hash = self.hashed(move || hash_password(password.as_bytes())).await??;
        let wrap = |kind, secret: &SecretBytes| self.keyring.wrap_sign_in(&name, kind, secret);
        let change = SignInChange::Set {
            name: name.clone(),
            by,
            password: wrap(SignInSecret::Password, &hash)?,
            codes: codes.as_ref().map(|codes| wrap(SignInSecret::Codes, codes.secret())).transpose()?,
        };
        self.cluster.change_sign_in(change).await?;
        let cluster = state::cluster_identity(self.cluster.state())?.map(|identity| identity.cluster);
        let issuer = format!("keymoot {}", cluster.unwrap_or_default());
        Ok(codes.map(|codes| codes.uri(&issuer, name.as_str())))
    }

    fn open(
        &self,
        name: &OperatorName,
        kind: SignInSecret,
        record: &SignInRecord,
    ) -> Result<SecretBytes, UnwrapError> {
        let wrapped = match kind {
            SignInSecret::Password => &record.password,
            SignInSecret::Codes => &record.codes,
        };
        self.keyring.unwrap_sign_in(name, kind, wrapped)
    }

    /// Does what takes a core for a while, off the threads that others wait for, and not too much of it at once.
    async fn hashed<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SignInError> {
        let turn = tokio::time::timeout(TURN_WITHIN, self.hashing.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(SignInError::Busy) };
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| SignInError::Busy)
    }
}

/// The number in a code: six digits, perhaps with a space, as apps show them.
fn code_of(text: &str) -> Option<u32> {
    let digits = Zeroizing::new(text.chars().filter(|digit| !digit.is_whitespace()).collect::<String>());
    let is_code = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_code.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_six_digits_and_a_token_thirty_two_bytes() {
        assert_eq!(code_of("081 804"), Some(81_804));
        for wrong in ["", "12345", "1234567", "12345x", "+12345", "١٢٣٤٥٦"] {
            assert_eq!(code_of(wrong), None, "{wrong}");
        }
        let token = URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(session_digest(&token), Some(digest_of(&[7; 32])));
        assert_eq!(session_digest(&URL_SAFE_NO_PAD.encode([7; 31])), None);
        assert_eq!(session_digest("="), None);
    }
}
