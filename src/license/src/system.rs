//! The licensing of one DRM system: one implementation of [`LicenseSystem`] per system.
//!
//! The code that issues licenses knows this trait and no system, so a new system is a row and an
//! implementation.

use std::borrow::Cow;
use std::error::Error;

use futures::future::BoxFuture;
use zeroize::Zeroizing;

use keymoot_model::{AccountId, Kid, Policy, TrackName};

use super::LicenseTerms;
use super::terms::clear_key::ClearKeyRefusal;
use super::upstream::UpstreamError;

/// Makes the licenses of one DRM system, or requests them from the servers that do.
pub trait LicenseSystem: Send + Sync {
    /// Whether this account's contents are licensed by this system.
    ///
    /// # Errors
    /// [`NotServed`] says what would have to be configured.
    fn serves(&self, _account: &AccountId) -> Result<(), NotServed> {
        Ok(())
    }

    /// Reads a player's challenge.
    ///
    /// # Errors
    /// [`ChallengeError`], fit for the caller, when it cannot be read.
    fn read<'c>(&self, challenge: &'c [u8]) -> Result<Challenge<'c>, ChallengeError>;

    /// Whether the policy permits this system to license a track's key. A system that enforces
    /// policies itself gets the policy with the key and need not refuse.
    ///
    /// # Errors
    /// [`PolicyRefusal`] names what the policy demands.
    fn permits(&self, _policy: &Policy, _track: &TrackName) -> Result<(), PolicyRefusal> {
        Ok(())
    }

    /// The answer to a challenge, with these keys and on these terms.
    fn license<'a>(&'a self, challenge: &'a Challenge<'_>, terms: LicenseTerms<'a>) -> LicenseFuture<'a>;
}

/// A license that is being made.
pub type LicenseFuture<'a> = BoxFuture<'a, Result<Zeroizing<Vec<u8>>, LicensingError>>;

/// A player's request, with the parts of it that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge<'c> {
    /// The keys that it wants.
    pub wants: WantedKeys,
    /// Whether the player wants to keep the license beyond its session.
    pub is_persistent: bool,
    /// The bytes that the license is made for.
    pub bytes: Cow<'c, [u8]>,
}

impl<'c> Challenge<'c> {
    /// A challenge that is passed on unchanged, for one session.
    pub(crate) fn as_it_came(wants: WantedKeys, challenge: &'c [u8]) -> Self {
        Self { wants, is_persistent: false, bytes: challenge.into() }
    }
}

/// The keys that a challenge requests. They are selected from the keys of the signed content only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedKeys {
    /// The license server's certificate. It is public and no key, so the viewer's entitlement is
    /// not checked.
    Certificate,
    /// No key: the player renews or releases a license that it has.
    Nothing,
    /// The keys with these key ids.
    Kids(Vec<Kid>),
    /// The current key of each track.
    EveryTrack,
    /// The key that the signed custom data names, because only the license server can read the
    /// challenge.
    SignedFor,
}

/// The system's licenses are not served. The message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotServed(pub(crate) Cow<'static, str>);

/// A challenge that cannot be read. The message is fit for the caller.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ChallengeError(Box<dyn Error + Send + Sync>);

impl ChallengeError {
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

/// The policy does not let the system have a key. The message is fit for the caller.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PolicyRefusal(Box<dyn Error + Send + Sync>);

impl From<ClearKeyRefusal> for PolicyRefusal {
    fn from(refusal: ClearKeyRefusal) -> Self {
        Self(Box::new(refusal))
    }
}

/// Why there is no license for a challenge that was read.
#[derive(Debug, thiserror::Error)]
pub enum LicensingError {
    /// No license server made one.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The system cannot license without a key.
    #[error("a license without a key was asked for")]
    NoKey,
    /// The license could not be written.
    #[error("a license cannot be written")]
    Writing(#[source] serde_json::Error),
}
