//! Why no license was given.

use crate::license::clear_key::ClearKeyError;
use crate::license::entitlement::NotEntitled;
use crate::service::ServiceError;

/// The kinds are mapped to status codes once, at the HTTP edge.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// The challenge is no Clear Key request.
    #[error(transparent)]
    ClearKey(#[from] ClearKeyError),
    /// None of the key ids asked for is of the content that was signed for.
    #[error("none of the key ids asked for is a key of the content that was signed for")]
    NoKey,
    /// The player wants to keep the license, and may not.
    #[error("the content's policy does not let licenses be kept; ask for type \"temporary\"")]
    NotPersistent,
    /// Nothing serves this system's licenses.
    #[error("licenses of {system} are not served: no license server is configured for it")]
    NoBackEnd {
        /// The system's label.
        system: &'static str,
    },
    /// The license could not be written.
    #[error("a license cannot be written")]
    Writing(#[source] serde_json::Error),
}

impl LicenseError {
    /// The label under which it is counted.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Service(_) | Self::Writing(_) => "failed",
            Self::NotEntitled(_) => "not_entitled",
            Self::NoClearKey | Self::NoBackEnd { .. } => "not_served",
            Self::ClearKey(_) => "bad_challenge",
            Self::NoKey => "no_key",
            Self::NotPersistent => "refused_by_policy",
        }
    }
}
