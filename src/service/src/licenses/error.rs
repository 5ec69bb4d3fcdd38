//! Why no license was given.

use crate::{LeaseError, ServiceError};
use keymoot_license::entitlement::NotEntitled;
use keymoot_license::upstream::UpstreamError;
use keymoot_license::{ChallengeError, LicensingError, NotServed, PolicyRefusal};
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
    /// Nothing serves this system's licenses, or not for this account.
    #[error(transparent)]
    NotServed(#[from] NotServed),
    /// The challenge cannot be read.
    #[error(transparent)]
    Challenge(#[from] ChallengeError),
    /// None of the key ids asked for is of the content that was signed for.
    #[error("none of the keys asked for is a key of the content that was signed for")]
    NoKey,
    /// The player wants to keep the license, and may not.
    #[error("the content's policy does not let licenses be kept; ask for type \"temporary\"")]
    NotPersistent,
    /// The policy does not let the system have a key.
    #[error(transparent)]
    NotPermitted(#[from] PolicyRefusal),
    /// The entitlement names a policy that there is not.
    #[error("the entitlement names policy {name}, which the account does not have")]
    NoPolicy { name: PolicyName },
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

impl From<LicensingError> for LicenseError {
    fn from(error: LicensingError) -> Self {
        match error {
            LicensingError::Upstream(error) => Self::Upstream(error),
            LicensingError::NoKey => Self::NoKey,
            LicensingError::Writing(error) => Self::Writing(error),
        }
    }
}

impl LicenseError {
    /// The label under which it is counted.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Service(_) | Self::Writing(_) | Self::Name(_) => "failed",
            Self::NotEntitled(_) => "not_entitled",
            Self::NotServed(_) => "not_served",
            Self::Challenge(_) => "bad_challenge",
            Self::NoKey => "no_key",
            Self::NotPersistent | Self::NotPermitted(_) | Self::NoPolicy { .. } | Self::Lease(_) => {
                "refused_by_policy"
            }
            Self::Upstream(UpstreamError::Refused { .. }) => "refused_by_server",
            Self::Upstream(_) => "no_server",
        }
    }
}
