//! An account with its signing keys opened, and where the authenticator finds it.
//!
//! Opening needs the master keys and reading needs the replicated state, and this crate has neither:
//! whoever keeps the accounts implements [`AccountDirectory`] over a cache of what it has opened.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use keymoot_protocol::widevine::WidevineKey;
use zeroize::Zeroizing;

use keymoot_model::{Account, AccountId, DocumentSettings, Scheme, Scope, Sha1Use};

/// A credential whose secret is open.
pub struct SigningKey {
    /// The credential's name, for the log.
    pub name: String,
    pub scope: Scope,
    /// How it is proved.
    pub scheme: Scheme,
    /// The key's text bytes.
    pub secret: Zeroizing<Vec<u8>>,
    /// What they say, where the scheme is of the Widevine API and they say something sound.
    pub widevine: Option<WidevineKey>,
    /// Where its last grant is noted: milliseconds since 1970 UTC.
    pub last_used_ms: Arc<AtomicU64>,
}

impl SigningKey {
    /// An open credential, its secret read as far as its scheme needs that.
    pub fn new(name: String, scope: Scope, scheme: Scheme, secret: Zeroizing<Vec<u8>>) -> Self {
        let widevine = WidevineKey::read(scheme, &secret);
        Self { name, scope, scheme, secret, widevine, last_used_ms: Arc::default() }
    }

    /// Whether it can never prove anything, because no key of its scheme is like it.
    pub fn is_unsound(&self) -> bool {
        self.scheme.is_widevine() && self.widevine.is_none()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, {:?})", self.name, self.scope)
    }
}

/// An account as the authenticator needs it.
#[derive(Debug)]
pub struct OpenAccount {
    /// The account as it is replicated.
    pub account: Account,
    /// Whether it is suspended: whatever a request proves, it is refused.
    pub is_suspended: bool,
    /// What signatures of uDRM open.
    pub sha1: Sha1Use,
    /// What holds of its SPEKE and CPIX documents.
    pub documents: DocumentSettings,
    /// The keys of the credentials that have not ended.
    pub keys: Vec<SigningKey>,
    /// The scopes of those that this node cannot open. Whether they made a signature cannot be told here.
    pub unopened: Vec<Scope>,
}

/// An account cannot be read, or a credential of it cannot be opened: this node's fault, whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account cannot be looked up on this node: {0}")]
pub struct Unreadable(pub String);

/// Finds accounts for the authenticator. It is asked on every request, so it answers from memory.
pub trait AccountDirectory: Send + Sync {
    /// The account of this id, if there is one.
    ///
    /// # Errors
    /// When that cannot be found out. An account is never absent because it cannot be read.
    fn account(&self, id: &AccountId) -> Result<Option<Arc<OpenAccount>>, Unreadable>;
}
