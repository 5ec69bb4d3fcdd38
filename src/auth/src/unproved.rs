//! Requests that no proof decides: whether they are let in by where they come from.
//!
//! Nothing in such a request proves anything, so it is let in only where somebody opened a door for it (the
//! operator a listener of its own, the account by opting in, or this cluster by a token) and only from the
//! account's own allow-list. No signed route gets any weaker by it.

use std::sync::Arc;

use keymoot_model::{Scheme, Scope};

use super::authenticator::refuse_downgrade;
use super::presented_proofs::PresentedProof;
use super::request::{Request, Unproved};
use super::{Denied, OpenAccount, SignatureFault, Verified, allowed};

/// The weakest scheme of an account whose scramblers all prove that they are its own, so that an address is not
/// enough; none where some of them only sign, as packagers that cannot do more do, where there are none, or where
/// the account opted in.
fn demanded(open: &OpenAccount) -> Option<Scheme> {
    let is_signature = |scheme: Scheme| !scheme.meets(Scheme::Basic);
    if open.account.allow_unsigned_packagers {
        return None;
    }
    let of_keys = open.keys.iter().map(|key| (key.scope, key.scheme));
    let in_force = of_keys.clone().filter(|(scope, _)| *scope == Scope::Encryption);
    if in_force.clone().any(|(_, scheme)| is_signature(scheme)) {
        return None;
    }
    // Those too that have ended or cannot be opened here: that proves nothing about who asks.
    let all = open.account.credentials.iter().map(|credential| (credential.scope, credential.scheme));
    let schemes =
        in_force.chain(all.filter(|(scope, _)| *scope == Scope::Encryption)).map(|(_, scheme)| scheme);
    schemes.min_by_key(|scheme| scheme.strength())
}

impl Request {
    /// Decides about a request that presents no proof for which its account has a credential.
    pub(super) fn decide_unproved(
        &self,
        offers: &[PresentedProof<'_>],
        account: Option<&Arc<OpenAccount>>,
    ) -> Result<Verified, Denied> {
        let absent = |else_fault| self.denied(self.absent(offers).unwrap_or(else_fault));
        match (self.unproved, account) {
            (Unproved::Never, None) => Err(absent(SignatureFault::UnknownAccount)),
            (Unproved::Never, Some(open)) => {
                refuse_downgrade(open, offers.first().and_then(|offer| offer.strongest_scheme(None)))?;
                Err(absent(SignatureFault::NoCredential))
            }
            (Unproved::ByOptIn, open) => self.by_opt_in(open).map(|open| self.verified(open, "unsigned")),
            (_, None) => Err(self.denied(SignatureFault::UnknownAccount)),
            (Unproved::Refused, Some(_)) => Err(match offers.first() {
                Some(PresentedProof::Certificate(own)) => self.denied_certificate(own, false),
                _ => self.denied(SignatureFault::Missing),
            }),
            (Unproved::ByListener, Some(open)) => {
                if let Some(minimum) = open.account.minimum_scheme.or_else(|| demanded(open)) {
                    return Err(Denied::ProofDemanded { account: self.account.clone(), minimum });
                }
                self.within_bounds(open)?;
                Ok(self.verified(open, "unsigned"))
            }
            (Unproved::ByToken, Some(open)) => {
                self.within_bounds(open)?;
                Ok(self.verified(open, "key-token"))
            }
        }
    }

    /// All that is missing reads the same: a caller that proved nothing learns nothing.
    fn by_opt_in<'a>(&self, open: Option<&'a Arc<OpenAccount>>) -> Result<&'a Arc<OpenAccount>, Denied> {
        let may_come = |open: &&Arc<OpenAccount>| {
            open.account.allow_unsigned_packagers
                && open.account.minimum_scheme.is_none()
                && allowed(self.caller, &open.account.allow_list)
        };
        let denied = || Denied::Unsigned { account: self.account.clone(), caller: self.caller };
        open.filter(may_come).ok_or_else(denied)
    }

    /// Let in under this name in the audit.
    fn verified(&self, open: &Arc<OpenAccount>, credential: &str) -> Verified {
        Verified {
            account: open.clone(),
            credential: credential.to_owned(),
            scope: self.scope,
            scheme: None,
            caller: self.caller,
            content: self.content.clone(),
            trail: self.trail.clone(),
            nonce: None,
            last_used_ms: None,
        }
    }

    /// Why it presents no proof at all, if it presents none.
    fn absent(&self, offers: &[PresentedProof<'_>]) -> Option<SignatureFault> {
        match (offers, self.proofs.is_stale(), self.proofs.is_overheard()) {
            ([_, ..], _, _) => None,
            (_, true, _) => Some(SignatureFault::Stale),
            (_, _, true) => Some(SignatureFault::Overheard),
            _ => Some(SignatureFault::Missing),
        }
    }
}

#[cfg(test)]
mod tests {
    use keymoot_model::{AccountId, ContentId, Kid};
    use keymoot_protocol::{KeyToken, KeyTokens};

    use super::super::authenticator::tests::{account, authenticator};
    use super::super::client_certificate::tests::certificate;
    use super::super::{Authenticator, ClientCertificate, Grant, PresentedProofs};
    use super::*;

    const KID: Kid = Kid::from_bytes([7; 16]);

    fn token_of(account: &str) -> KeyToken {
        let (account, content) = (AccountId::new(account).unwrap(), ContentId::new("film é").unwrap());
        let tokens = KeyTokens::new(b"key");
        tokens.read(&tokens.issue(&account, &content, &KID, 1), &KID, 0).unwrap()
    }

    fn showing(request: Request, certificate: &Option<ClientCertificate>) -> Request {
        request.with_proofs(PresentedProofs::of_connection(certificate.clone()))
    }

    fn request(account: &str, ca_system: &str, caller: &str) -> Request {
        let account = AccountId::new(account).unwrap();
        Request::unsigned(account, caller.parse().unwrap(), Unproved::ByListener)
            .of_ca_system(ca_system)
            .unwrap()
    }

    fn granted(account: &str, ca_system: &str, caller: &str) -> Result<Grant, Denied> {
        authenticator().authenticate(&request(account, ca_system, caller))
    }

    #[test]
    fn an_account_that_demands_a_scheme_grants_nothing_unsigned() {
        let strict = account(|open| open.account.minimum_scheme = Some(Scheme::UdrmSha1));
        let denied = strict.authenticate(&request("167", "ovp", "192.0.2.7")).unwrap_err();
        assert!(matches!(denied, Denied::ProofDemanded { .. }), "{denied}");
        assert_eq!(denied.reason(), "downgrade");
    }

    #[test]
    fn a_packager_on_the_accounts_allow_list_opens_the_encryption_scope() {
        let grant = granted("167", "ovp", "192.0.2.7").unwrap();
        assert_eq!(grant.scope(), Scope::Encryption);
        assert_eq!(grant.account().id.as_str(), "167");
        assert_eq!((grant.credential(), grant.scheme()), ("unsigned", None));
    }

    #[test]
    fn an_account_whose_scramblers_all_prove_themselves_is_not_served_by_address_alone() {
        let only = |schemes: &'static [Scheme], opted_in: bool| {
            account(move |open| {
                open.keys.retain(|key| schemes.contains(&key.scheme) || key.scope == Scope::License);
                open.account.allow_unsigned_packagers = opted_in;
            })
        };
        let ask = |here: Authenticator| here.authenticate(&request("167", "ovp", "192.0.2.7"));
        use Scheme::{Basic, Digest, HttpHmacSha256, MutualTls, UdrmSha1};
        for strong in [&[MutualTls][..], &[HttpHmacSha256], &[MutualTls, HttpHmacSha256], &[Digest, Basic]] {
            let denied = ask(only(strong, false)).unwrap_err();
            assert!(matches!(denied, Denied::ProofDemanded { .. }), "{strong:?}: {denied}");
            assert!(ask(only(strong, true)).is_ok(), "{strong:?}: it opted in");
        }
        assert!(ask(only(&[MutualTls, UdrmSha1], false)).is_ok());
        assert!(ask(only(&[], false)).is_ok(), "the allow-list is all it has");
        let unopened = account(|open| {
            open.keys.clear();
            open.unopened.push(Scope::Encryption);
            open.account.credentials.push(keymoot_model::Credential {
                name: "cert".to_owned(),
                scope: Scope::Encryption,
                scheme: MutualTls,
                secret: keymoot_model::Wrapped {
                    master_key: keymoot_model::MasterKeyId("mk1".to_owned()),
                    nonce: [0; 12],
                    ciphertext: Vec::new(),
                },
                created_at_ms: 0,
            });
        });
        assert!(ask(unopened).is_err());
    }

    #[test]
    fn an_address_off_the_accounts_allow_list_is_refused() {
        assert!(matches!(granted("167", "ovp", "198.51.100.1"), Err(Denied::Address { .. })));
    }

    #[test]
    fn another_ca_system_and_an_unknown_account_are_refused() {
        assert!(matches!(granted("167", "ott", "192.0.2.7"), Err(Denied::CaSystem { .. })));
        assert!(matches!(granted("168", "ovp", "192.0.2.7"), Err(Denied::Signature { .. })));
    }

    #[test]
    fn a_certificate_of_the_account_is_a_proof_and_a_foreign_one_is_a_wrong_proof() {
        let strict = account(|open| open.account.minimum_scheme = Some(Scheme::MutualTls));
        let own = Some(certificate("packager.example.net"));
        let foreign = Some(certificate("other.example.net"));
        for unproved in [Unproved::Refused, Unproved::ByListener, Unproved::ByOptIn] {
            let shown = |certificate| {
                showing(Request { unproved, ..request("167", "ovp", "192.0.2.7") }, certificate)
            };
            let grant = strict.authenticate(&shown(&own)).unwrap();
            assert_eq!((grant.credential(), grant.scheme()), ("cert", Some(Scheme::MutualTls)));
            let denied = strict.authenticate(&shown(&foreign)).unwrap_err();
            assert_eq!(denied.reason(), "mismatch", "{unproved:?}");
            let said = denied.to_string();
            assert!(said.contains("dns:other.example.net") && said.contains("sha256:"), "{said}");
            assert!(!said.contains("signature"), "nobody signs with a certificate: {said}");
        }
        let elsewhere = showing(request("167", "ovp", "198.51.100.1"), &own);
        assert!(matches!(strict.authenticate(&elsewhere), Err(Denied::Address { .. })));
    }

    #[test]
    fn where_a_certificate_is_demanded_an_address_alone_is_not_enough() {
        let request = || Request { unproved: Unproved::Refused, ..request("167", "ovp", "192.0.2.7") };
        assert_eq!(authenticator().authenticate(&request()).unwrap_err().reason(), "missing");
        // An account without a credential for certificates takes none for a proof.
        let without = account(|open| open.keys.retain(|key| key.scheme != Scheme::MutualTls));
        let shown = showing(request(), &Some(certificate("packager.example.net")));
        let denied = without.authenticate(&shown).unwrap_err();
        assert_eq!(denied.reason(), "missing");
        assert!(denied.to_string().contains("it has no mutual-tls credential"), "{denied}");
    }

    #[test]
    fn who_must_opt_in_is_told_one_thing_whatever_is_missing() {
        let open = || account(|open| open.account.allow_unsigned_packagers = true);
        let ask =
            |id: &str, caller: &str| Request { unproved: Unproved::ByOptIn, ..request(id, "ovp", caller) };
        assert!(open().authenticate(&ask("167", "192.0.2.7")).is_ok());
        for (authenticator, request) in [
            (open(), ask("167", "198.51.100.1")),
            (open(), ask("168", "192.0.2.7")),
            (authenticator(), ask("167", "192.0.2.7")),
        ] {
            assert_eq!(authenticator.authenticate(&request).unwrap_err().reason(), "unsigned");
        }
    }

    #[test]
    fn a_token_opens_encryption_for_its_account_from_its_allow_list_only() {
        let shown = |account: &str, caller: &str| {
            authenticator().authenticate(&Request::with_token(&token_of(account), caller.parse().unwrap()))
        };
        let grant = shown("167", "192.0.2.7").unwrap();
        assert_eq!((grant.scope(), grant.credential()), (Scope::Encryption, "key-token"));
        assert_eq!(shown("167", "198.51.100.1").unwrap_err().reason(), "address");
        assert_eq!(shown("168", "192.0.2.7").unwrap_err().reason(), "unknown_account");
    }
}
