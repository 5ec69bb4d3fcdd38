//! Requests of scramblers that cannot sign, admitted by a client certificate or by where they come from.
//!
//! Nothing in such a request proves anything, so it is let in by what its connection shows: the
//! certificate that a credential of the account names, or else only where somebody opened a door for
//! it (the operator a listener of its own, or the account by opting in) and only from the account's
//! own allow-list. No signed route gets any weaker by it.

use std::net::IpAddr;
use std::sync::Arc;

use super::authenticator::{certain, within_bounds};
use super::{
    AuthError, Authenticator, ClientCertificate, Denied, Grant, OpenAccount, SignatureFault, Verified,
    allowed,
};
use keymoot_model::{AccountId, ContentId, Scheme, Scope};
use keymoot_protocol::{CaSystem, CustomDataError};

/// What the audit calls a request that proved nothing.
const CREDENTIAL: &str = "unsigned";

/// Whether a request is served that shows no certificate of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproved {
    /// Never.
    Refused,
    /// Yes, because it came by a listener that the operator opened for such packagers.
    ByListener,
    /// Only if its account opted in.
    ByOptIn,
}

/// An unsigned request for keys.
#[derive(Clone, Debug)]
pub struct UnsignedRequest {
    account: AccountId,
    ca_system: Option<CaSystem>,
    content: Option<ContentId>,
    caller: IpAddr,
    certificate: Option<ClientCertificate>,
    unproved: Unproved,
}

impl UnsignedRequest {
    /// A request on behalf of `account` from `caller`.
    pub fn new(account: AccountId, caller: IpAddr, unproved: Unproved) -> Self {
        Self { account, ca_system: None, content: None, caller, certificate: None, unproved }
    }

    /// The same for keys of a content, for the audit.
    pub fn for_content(self, content: Option<ContentId>) -> Self {
        Self { content, ..self }
    }

    /// The same with what the connection showed.
    pub fn with_certificate(self, certificate: Option<ClientCertificate>) -> Self {
        Self { certificate, ..self }
    }

    /// The same from a client of this `ca_system`.
    ///
    /// # Errors
    /// [`CustomDataError`] when it is none.
    pub fn of_ca_system(self, ca_system: &str) -> Result<Self, CustomDataError> {
        Ok(Self { ca_system: Some(CaSystem::new(ca_system)?), ..self })
    }

    /// Whether it keeps to what the account allows, proved or not.
    fn within_bounds(&self, open: &OpenAccount) -> Result<(), Denied> {
        within_bounds(open, Scope::Encryption, self.ca_system.as_ref(), self.caller)
    }

    fn denied(&self, fault: SignatureFault) -> Denied {
        Denied::Signature { account: self.account.clone(), scope: Scope::Encryption, fault }
    }

    /// Lets it in by its address, if a door is open.
    fn by_address(&self, open: Option<&Arc<OpenAccount>>) -> Result<Arc<OpenAccount>, Denied> {
        let (account, caller) = (self.account.clone(), self.caller);
        match (self.unproved, open.cloned()) {
            (Unproved::ByOptIn, open) => open
                .filter(|open| {
                    let account = &open.account;
                    account.allow_unsigned_packagers
                        && account.minimum_scheme.is_none()
                        && allowed(caller, &account.allow_list)
                })
                // All of it reads the same: a caller that proved nothing learns nothing.
                .ok_or(Denied::Unsigned { account, caller }),
            (_, None) => Err(self.denied(SignatureFault::UnknownAccount)),
            (Unproved::Refused, Some(_)) => Err(self.denied(SignatureFault::Missing)),
            (Unproved::ByListener, Some(open)) => {
                if let Some(minimum) = open.account.minimum_scheme {
                    return Err(Denied::ProofDemanded { account, minimum });
                }
                self.within_bounds(&open)?;
                Ok(open)
            }
        }
    }

    /// A certificate decides alone where the account has credentials for certificates.
    fn decide(&self, open: Option<&Arc<OpenAccount>>) -> Result<Verified, Denied> {
        let request = self;
        let verified = |open, credential: &str, scheme| {
            let (credential, content) = (credential.to_owned(), request.content.clone());
            Verified::without_nonce(open, credential, scheme, request.caller, content)
        };
        if let (Some(certificate), Some(open)) = (&request.certificate, open) {
            let is_own =
                |key: &&super::SigningKey| key.scope == Scope::Encryption && key.scheme == Scheme::MutualTls;
            let mut own = open.keys.iter().filter(is_own).peekable();
            if own.peek().is_some() {
                let key = own.find(|key| certificate.bears(&key.secret));
                let key = key.ok_or_else(|| request.denied(SignatureFault::Mismatch))?;
                request.within_bounds(open)?;
                return Ok(verified(open.clone(), &key.name, Some(key.scheme)));
            }
        }
        Ok(verified(request.by_address(open)?, CREDENTIAL, None))
    }
}

impl Authenticator {
    /// Finds out whether an unsigned request may be served; what is opened is the encryption scope and no
    /// other.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub fn verify_unsigned(&self, request: &UnsignedRequest) -> Result<Verified, AuthError> {
        let open = self.directory.account(&request.account)?;
        let has_proof = request.certificate.is_some();
        certain(request.decide(open.as_ref()), open.as_deref(), Scope::Encryption, has_proof)
    }

    /// Admits an unsigned request, and audits the grant.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub fn admit(&self, request: &UnsignedRequest) -> Result<Grant, AuthError> {
        self.verify_unsigned(request).map(Verified::grant)
    }
}

#[cfg(test)]
mod tests {
    use super::super::authenticator::tests::{account, authenticator, refusal};
    use super::super::client_certificate::tests::certificate;
    use super::*;

    fn request(account: &str, ca_system: &str, caller: &str) -> UnsignedRequest {
        let account = AccountId::new(account).unwrap();
        UnsignedRequest::new(account, caller.parse().unwrap(), Unproved::ByListener)
            .of_ca_system(ca_system)
            .unwrap()
    }

    impl Authenticator {
        fn decide(&self, request: &UnsignedRequest) -> Result<Grant, Denied> {
            self.admit(request).map_err(|error| refusal::<()>(Err(error)))
        }
    }

    fn admitted(account: &str, ca_system: &str, caller: &str) -> Result<Grant, Denied> {
        authenticator().decide(&request(account, ca_system, caller))
    }

    #[test]
    fn an_account_that_demands_a_scheme_admits_nothing_unsigned() {
        let strict = account(|open| open.account.minimum_scheme = Some(Scheme::UdrmSha1));
        let denied = strict.decide(&request("167", "ovp", "192.0.2.7")).unwrap_err();
        assert!(matches!(denied, Denied::ProofDemanded { .. }), "{denied}");
        assert_eq!(denied.reason(), "downgrade");
    }

    #[test]
    fn a_packager_on_the_accounts_allow_list_opens_the_encryption_scope() {
        let grant = admitted("167", "ovp", "192.0.2.7").unwrap();
        assert_eq!(grant.scope(), Scope::Encryption);
        assert_eq!(grant.account().id.as_str(), "167");
        assert_eq!((grant.credential(), grant.scheme()), ("unsigned", None));
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

    #[test]
    fn a_certificate_of_the_account_is_a_proof_and_a_foreign_one_is_a_wrong_proof() {
        let strict = account(|open| open.account.minimum_scheme = Some(Scheme::MutualTls));
        let own = Some(certificate("packager.example.net"));
        let foreign = Some(certificate("other.example.net"));
        for unproved in [Unproved::Refused, Unproved::ByListener, Unproved::ByOptIn] {
            let request = UnsignedRequest { unproved, ..request("167", "ovp", "192.0.2.7") };
            let shown = |certificate: &Option<_>| request.clone().with_certificate(certificate.clone());
            let grant = strict.decide(&shown(&own)).unwrap();
            assert_eq!((grant.credential(), grant.scheme()), ("cert", Some(Scheme::MutualTls)));
            let denied = strict.decide(&shown(&foreign)).unwrap_err();
            assert_eq!(denied.reason(), "mismatch", "{unproved:?}");
        }
        let elsewhere = request("167", "ovp", "198.51.100.1").with_certificate(own);
        assert!(matches!(strict.decide(&elsewhere), Err(Denied::Address { .. })));
    }

    #[test]
    fn where_a_certificate_is_demanded_an_address_alone_is_not_enough() {
        let unproved = Unproved::Refused;
        let request = UnsignedRequest { unproved, ..request("167", "ovp", "192.0.2.7") };
        assert_eq!(authenticator().decide(&request).unwrap_err().reason(), "missing");
        // An account without a credential for certificates takes none for a proof.
        let without = account(|open| open.keys.retain(|key| key.scheme != Scheme::MutualTls));
        let shown = request.with_certificate(Some(certificate("packager.example.net")));
        assert_eq!(without.decide(&shown).unwrap_err().reason(), "missing");
    }

    #[test]
    fn who_must_opt_in_is_told_one_thing_whatever_is_missing() {
        let open = || account(|open| open.account.allow_unsigned_packagers = true);
        let ask = |id: &str, caller: &str| {
            let unproved = Unproved::ByOptIn;
            UnsignedRequest { unproved, ..request(id, "ovp", caller) }
        };
        assert!(open().decide(&ask("167", "192.0.2.7")).is_ok());
        for (authenticator, request) in [
            (open(), ask("167", "198.51.100.1")),
            (open(), ask("168", "192.0.2.7")),
            (authenticator(), ask("167", "192.0.2.7")),
        ] {
            assert_eq!(authenticator.decide(&request).unwrap_err().reason(), "unsigned");
        }
    }
}
