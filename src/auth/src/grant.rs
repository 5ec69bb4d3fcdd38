//! The proof that a request was authenticated.
//!
//! A use case takes a [`Grant`] and so cannot run unasked: only this crate builds one, and building
//! one is what writes the audit line. A grant speaks for one request, hence it cannot be copied.

use std::net::IpAddr;
use std::sync::Arc;

use super::OpenAccount;
use keymoot_model::{Account, ContentId, Scheme, Scope, Sha1Use};

/// That an account's credential opened a scope to a caller, for one request.
#[derive(Debug)]
pub struct Grant {
    account: Arc<OpenAccount>,
    scope: Scope,
    scheme: Option<Scheme>,
    credential: String,
    caller: IpAddr,
}

impl Grant {
    /// Grants, and says so in the log under the target `audit`.
    pub(super) fn issue(
        account: Arc<OpenAccount>,
        scope: Scope,
        scheme: Option<Scheme>,
        credential: String,
        caller: IpAddr,
        content: Option<&ContentId>,
    ) -> Self {
        // By this name the log knows that many may be written at once, before their keys leave.
        tracing::info!(
            name: "grant",
            target: "audit",
            account = %account.account.id,
            ?scope,
            scheme = scheme.map(Scheme::name),
            ?credential,
            %caller,
            ?content,
            "granted"
        );
        Self { account, scope, scheme, credential, caller }
    }

    /// Says in the log under the target `audit` that this grant gave out the key of a content: for
    /// requests about many contents, which none of them names.
    pub fn audit(&self, content: &ContentId) {
        tracing::info!(
            target: "audit",
            account = %self.account.account.id,
            scope = ?self.scope,
            scheme = self.scheme.map(Scheme::name),
            credential = ?self.credential,
            caller = %self.caller,
            content = ?Some(content),
            "granted"
        );
    }

    /// The account that asked.
    pub fn account(&self) -> &Account {
        &self.account.account
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
