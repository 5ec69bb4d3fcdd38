//! Changes of an account and of its credentials.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Account, Consistency, Credential, DocumentChange, ResponseShape, Scheme, Sha1Use, Wrapped};

/// One change of an account. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountChange {
    /// Changes settings.
    Settings(Box<AccountSettings>),
    /// Refuses the account's requests until it is resumed.
    Suspend,
    /// Ends a suspension by an operator.
    Resume,
    /// Adds a credential, under a name that no other has or had.
    AddCredential {
        credential: Credential,
        /// Its end: milliseconds since 1970 UTC.
        expires_at_ms: Option<u64>,
    },
    /// Sets the end of a credential, or takes it away.
    ExpireCredential {
        /// The credential's name.
        name: String,
        /// Milliseconds since 1970 UTC.
        expires_at_ms: Option<u64>,
    },
    /// Revokes a credential for ever, and forgets its secret.
    RevokeCredential {
        /// The credential's name.
        name: String,
    },
    /// Lets the account and credentials that a restored backup brought back be used.
    ConfirmRestored,
    /// Makes another seed the one from which the keys of documents derive, for contents that are made from now on.
    RotateDocumentSeed {
        /// A random number, which the wrapping is bound to.
        id: u64,
        /// The seed, wrapped.
        seed: Wrapped,
    },
}

impl AccountChange {
    /// What it does, for the log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Settings(_) => "set",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::AddCredential { .. } => "add-credential",
            Self::ExpireCredential { .. } => "expire-credential",
            Self::RevokeCredential { .. } => "revoke-credential",
            Self::ConfirmRestored => "confirm-restored",
            Self::RotateDocumentSeed { .. } => "rotate-document-seed",
        }
    }
}

/// New settings of an account; `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSettings {
    pub ca_systems: Option<Vec<String>>,
    pub allow_list: Option<Vec<IpNet>>,
    pub consistency: Option<Consistency>,
    pub response_shape: Option<ResponseShape>,
    /// `Some(None)` removes it.
    pub license_url: Option<Option<String>>,
    /// `Some(None)` removes it.
    pub playready_la_url: Option<Option<String>>,
    /// `Some(None)` accepts every scheme.
    pub minimum_scheme: Option<Option<Scheme>>,
    pub allow_unsigned_packagers: Option<bool>,
    /// Kept in the account's status.
    pub sha1: Option<Sha1Use>,
    /// Kept there, too.
    pub documents: DocumentChange,
}

impl AccountSettings {
    /// Changes an account by these settings, but for what its status holds.
    pub fn apply_to(&self, account: &mut Account) {
        fn set<T: Clone>(to: &mut T, new: Option<&T>) {
            if let Some(new) = new {
                new.clone_into(to);
            }
        }
        set(&mut account.ca_systems, self.ca_systems.as_ref());
        set(&mut account.allow_list, self.allow_list.as_ref());
        set(&mut account.consistency, self.consistency.as_ref());
        set(&mut account.response_shape, self.response_shape.as_ref());
        set(&mut account.license_url, self.license_url.as_ref());
        set(&mut account.playready_la_url, self.playready_la_url.as_ref());
        set(&mut account.minimum_scheme, self.minimum_scheme.as_ref());
        set(&mut account.allow_unsigned_packagers, self.allow_unsigned_packagers.as_ref());
    }
}
