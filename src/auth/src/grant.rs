//! The proof that a request was authenticated.
//!
//! A use case takes a [`Grant`] and so cannot run unasked: only this crate builds one, and building
//! one puts it on the request's trail, by which every key that leaves and every change is audited. A grant speaks
//! for one request, hence it cannot be copied.

use std::net::IpAddr;
use std::sync::Arc;

use super::OpenAccount;
use keymoot_audit::{Admitted, Trail};
use keymoot_model::{Account, ContentId, DocumentSettings, Scheme, Scope, Sha1Use};

/// That an account's credential opened a scope to a caller, for one request.
#[derive(Debug)]
pub struct Grant {
    account: Arc<OpenAccount>,
    scope: Scope,
    scheme: Option<Scheme>,
    credential: String,
    caller: IpAddr,
    trail: Arc<Trail>,
}

impl Grant {
    /// Grants, and says on the request's trail to whom.
    pub(super) fn issue(
        account: Arc<OpenAccount>,
        scope: Scope,
        scheme: Option<Scheme>,
        credential: String,
        caller: IpAddr,
        (content, trail): (Option<ContentId>, Option<Arc<Trail>>),
    ) -> Self {
        let trail = trail.unwrap_or_else(Trail::detached);
        trail.admit(Admitted {
            account: account.account.id.clone(),
            credential: credential.clone(),
            scheme: scheme.map(Scheme::name),
            content,
        });
        Self { account, scope, scheme, credential, caller, trail }
    }

    /// Where what comes of it is audited.
    pub const fn trail(&self) -> &Arc<Trail> {
        &self.trail
    }

    /// The account that asked.
    pub fn account(&self) -> &Account {
        &self.account.account
    }

    /// What holds of the account's SPEKE and CPIX documents.
    pub fn documents(&self) -> &DocumentSettings {
        &self.account.documents
    }

    /// Whether it was proved by a signature over custom data alone, and the account wants more said by those.
    pub fn is_bound_sha1(&self) -> bool {
        self.scheme == Some(Scheme::UdrmSha1) && self.account.sha1 != Sha1Use::Unbound
    }

    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// How the request was proved; none: it was admitted unsigned, by its address.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The name of the credential that opened it.
    pub fn credential(&self) -> &str {
        &self.credential
    }

    /// Where the request came from.
    pub fn caller(&self) -> IpAddr {
        self.caller
    }
}
