//! Requests of scramblers that cannot sign, admitted by where they come from.
//!
//! A packager on the fly computes no digest, so nothing in its request proves anything. It is let in
//! only where the operator opened a door for it and only from the account's own allow-list; no signed
//! route gets any weaker by it. Forwarded addresses count for nothing here: such a packager passes
//! its viewers' headers on, and a viewer must not be able to name the address.

use std::net::IpAddr;

use super::{Authenticator, CaSystem, CustomDataError, Denied, Grant, SignatureFault};
use crate::model::{AccountId, ContentId, Scope};

/// An unsigned request for a content's key.
#[derive(Debug)]
pub struct UnsignedRequest {
    account: AccountId,
    ca_system: CaSystem,
    content: ContentId,
    caller: IpAddr,
}

impl UnsignedRequest {
    /// A request on behalf of `account`. `caller` is the address of the connection itself.
    ///
    /// # Errors
    /// [`CustomDataError`] when `ca_system` is none.
    pub fn new(
        account: AccountId,
        ca_system: &str,
        content: ContentId,
        caller: IpAddr,
    ) -> Result<Self, CustomDataError> {
        Ok(Self { account, ca_system: CaSystem::new(ca_system)?, content, caller })
    }

    /// The content whose key is asked for.
    pub fn content(&self) -> &ContentId {
        &self.content
    }
}

impl Authenticator {
    /// Admits an unsigned request by its address, and audits the grant. It opens the encryption
    /// scope and no other.
    ///
    /// # Errors
    /// [`Denied`] when there is no such account, it demands signatures of a least strength, or the
    /// address or `ca_system` is not one of its own.
    pub fn admit(&self, request: &UnsignedRequest) -> Result<Grant, Denied> {
        let id = &request.account;
        let Some(open) = self.directory.account(id) else {
            let fault = SignatureFault::UnknownAccount;
            return Err(Denied::Signature { account: id.clone(), scope: Scope::Encryption, fault });
        };
        if let Some(minimum) = open.account.minimum_scheme {
            return Err(Denied::ProofDemanded { account: id.clone(), minimum });
        }
        super::authenticator::within_bounds(&open, Scope::Encryption, &request.ca_system, request.caller)?;
        Ok(Grant::admit(open, request.caller, &request.content))
    }
}

#[cfg(test)]
mod tests {
    use super::super::authenticator::tests::{account, authenticator};
    use super::*;
    use crate::model::Scheme;

    fn request(account: &str, ca_system: &str, caller: &str) -> UnsignedRequest {
        let content = ContentId::new("1_abc").unwrap();
        let account = AccountId::new(account).unwrap();
        UnsignedRequest::new(account, ca_system, content, caller.parse().unwrap()).unwrap()
    }

    fn admitted(account: &str, ca_system: &str, caller: &str) -> Result<Grant, Denied> {
        authenticator().admit(&request(account, ca_system, caller))
    }

    #[test]
    fn an_account_that_demands_a_scheme_admits_nothing_unsigned() {
        let strict = account(|open| open.account.minimum_scheme = Some(Scheme::UdrmSha1));
        let denied = strict.admit(&request("167", "ovp", "192.0.2.7")).unwrap_err();
        assert!(matches!(denied, Denied::ProofDemanded { .. }), "{denied}");
        assert_eq!(denied.reason(), "downgrade");
    }

    #[test]
    fn a_packager_on_the_accounts_allow_list_opens_the_encryption_scope() {
        let grant = admitted("167", "ovp", "192.0.2.7").unwrap();
        assert_eq!(grant.scope(), Scope::Encryption);
        assert_eq!(grant.account().id.as_str(), "167");
        assert_eq!(grant.credential(), "unsigned");
    }

    #[test]
    fn an_address_off_the_accounts_allow_list_is_refused() {
        assert!(matches!(admitted("167", "ovp", "198.51.100.1"), Err(Denied::Address { .. })));
    }

    #[test]
    fn another_ca_system_and_an_unknown_account_are_refused() {
        assert!(matches!(admitted("167", "ott", "192.0.2.7"), Err(Denied::CaSystem { .. })));
        assert!(matches!(admitted("168", "ovp", "192.0.2.7"), Err(Denied::Signature { .. })));
    }
}
