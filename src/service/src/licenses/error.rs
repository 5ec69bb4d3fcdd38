//! Why no license was given.

use crate::{LeaseError, ServiceError};
use keymoot_license::clear_key::ClearKeyError;
use keymoot_license::entitlement::NotEntitled;
use keymoot_license::fairplay::SpcError;
use keymoot_license::playready::PlayReadyChallengeError;
use keymoot_license::terms::clear_key::ClearKeyRefusal;
use keymoot_license::upstream::UpstreamError;
use keymoot_license::widevine::WidevineChallengeError;
use keymoot_model::{IdError, PolicyName};

/// The kinds are mapped to status codes once, at the HTTP edge.
#[derive(Debug, thiserror::Error)]
pub enum LicenseError {
    /// The keys could not be looked for.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The viewer may not have one, or nobody could say so.
    #[error(transparent)]
    NotEntitled(#[from] NotEntitled),
    /// The account's content is not to be licensed by Clear Key.
    #[error(
        "Clear Key licenses are not served for this account: they hold keys in the clear; \
         license.clear_key_accounts names the accounts that want that"
    )]
    NoClearKey,
    /// Widevine Classic has no license server that could be asked.
    #[error(
        "licenses of Widevine Classic are not served: its license server is not public; Widevine licenses are at \
         /cenc/widevine/license"
    )]
    NoClassic,
    /// Nothing serves this system's licenses.
    #[error("licenses of {system} are not served: no license server is configured for it")]
    NoBackEnd {
        /// The system's label.
        system: &'static str,
    },
    /// The challenge is no Clear Key request.
    #[error(transparent)]
    ClearKey(#[from] ClearKeyError),
    /// The challenge is no Widevine challenge.
    #[error(transparent)]
    Widevine(#[from] WidevineChallengeError),
    /// The challenge is no PlayReady challenge.
    #[error(transparent)]
    PlayReady(#[from] PlayReadyChallengeError),
    /// The challenge is no FairPlay playback context.
    #[error(transparent)]
    FairPlay(#[from] SpcError),
    /// None of the key ids asked for is of the content that was signed for.
    #[error("none of the keys asked for is a key of the content that was signed for")]
    NoKey,
    /// The player wants to keep the license, and may not.
    #[error("the content's policy does not let licenses be kept; ask for type \"temporary\"")]
    NotPersistent,
    /// The policy asks for more than Clear Key can give.
    #[error(transparent)]
    NoProtection(#[from] ClearKeyRefusal),
    /// The entitlement names a policy that there is not.
    #[error("the entitlement names policy {name}, which the account does not have")]
    NoPolicy {
        /// Its name.
        name: PolicyName,
    },
    /// The viewer's rental is over, or enough of the viewer's devices play.
    #[error(transparent)]
    Lease(LeaseError),
    /// No license server gave one.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A name of ours is none.
    #[error("a name cannot be used")]
    Name(#[source] IdError),
    /// The license could not be written.
    #[error("a license cannot be written")]
    Writing(#[source] serde_json::Error),
}

impl From<LeaseError> for LicenseError {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Service(error) => Self::Service(error),
            refusal => Self::Lease(refusal),
        }
    }
}

impl LicenseError {
    /// The label under which it is counted.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Service(_) | Self::Writing(_) | Self::Name(_) => "failed",
            Self::NotEntitled(_) => "not_entitled",
            Self::NoClearKey | Self::NoClassic | Self::NoBackEnd { .. } => "not_served",
            Self::ClearKey(_) | Self::Widevine(_) | Self::PlayReady(_) | Self::FairPlay(_) => "bad_challenge",
            Self::NoKey => "no_key",
            Self::NotPersistent | Self::NoProtection(_) | Self::NoPolicy { .. } | Self::Lease(_) => {
                "refused_by_policy"
            }
            Self::Upstream(UpstreamError::Refused { .. }) => "refused_by_server",
            Self::Upstream(_) => "no_server",
        }
    }
}
