//! What holds of an account beside what it is: whether it is served, and the life of its credentials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Credential, DocumentSettings, Scheme, Scope, Sha1Use};

/// The status of an account. One that has no record has the default: it is served, nothing expires, nothing was
/// revoked, and SHA-1 opens what it always did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// When an operator suspended the account: milliseconds since 1970 UTC.
    pub suspended_at_ms: Option<u64>,
    /// When the backup was made that brought the account back: milliseconds since 1970 UTC. The account is not served
    /// until an operator confirms its credentials.
    pub restored_from_ms: Option<u64>,
    /// The end of each credential that has one, by its name: milliseconds since 1970 UTC.
    pub expires_at_ms: BTreeMap<String, u64>,
    /// The credentials that were revoked, the latest last. Their secrets are gone, and their names are not used again.
    pub revoked: Vec<RevokedCredential>,
    /// The revision of the declaration that stored the account last.
    pub declared_revision: Option<u64>,
    /// What `udrm-sha1` signatures open.
    #[serde(default)]
    pub sha1: Sha1Use,
    /// What holds of its SPEKE and CPIX documents.
    #[serde(default)]
    pub documents: DocumentSettings,
}

/// A credential that was revoked, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedCredential {
    /// Its name within the account.
    pub name: String,
    pub scope: Scope,
    pub scheme: Scheme,
    /// When it was added: milliseconds since 1970 UTC.
    pub created_at_ms: u64,
    /// When it was revoked: milliseconds since 1970 UTC.
    pub revoked_at_ms: u64,
}

impl AccountStatus {
    /// The revoked credentials that are remembered; of more, the oldest are forgotten.
    pub const REVOKED_MAX: usize = 1000;

    /// Whether the account's requests are refused whatever they prove.
    pub const fn is_suspended(&self) -> bool {
        self.suspended_at_ms.is_some() || self.restored_from_ms.is_some()
    }

    /// Whether a credential of this name was revoked.
    pub fn has_revoked(&self, name: &str) -> bool {
        self.revoked.iter().any(|revoked| revoked.name == name)
    }

    /// Whether the credential of this name has ended by `now_ms`.
    pub fn is_expired(&self, name: &str, now_ms: u64) -> bool {
        self.expires_at_ms.get(name).is_some_and(|end| *end <= now_ms)
    }

    /// The first end of a credential after `now_ms`.
    pub fn next_expiry_ms(&self, now_ms: u64) -> Option<u64> {
        self.expires_at_ms.values().copied().filter(|end| *end > now_ms).min()
    }

    /// Notes that a credential is revoked.
    pub fn note_revoked(&mut self, credential: &Credential, now_ms: u64) {
        self.expires_at_ms.remove(&credential.name);
        self.revoked.push(RevokedCredential {
            name: credential.name.clone(),
            scope: credential.scope,
            scheme: credential.scheme,
            created_at_ms: credential.created_at_ms,
            revoked_at_ms: now_ms,
        });
        let surplus = self.revoked.len().saturating_sub(Self::REVOKED_MAX);
        self.revoked.drain(..surplus);
    }
}
