//! Who sends a request of the Widevine common encryption API: signed with AES, with RSA, or by nobody.
//!
//! The signature covers the inner request's bytes as they came. A credential for this API opens
//! encryption and nothing else. Requests without signer are unsigned ones like any other protocol's,
//! served by a client certificate or where the account opts in.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::authenticator::certain;
use super::pss::PssPublicKey;
use super::{
    AuthError, Authenticator, ClientCertificate, Denied, OpenAccount, SignatureFault, SigningKey, Unproved,
    UnsignedRequest, Verified, allowed,
};
use keymoot_crypto::AesSigner;
use keymoot_model::{AccountId, ContentId, Scheme, Scope};

/// A request as it was received, to be authenticated.
#[derive(Clone)]
pub struct WidevineRequest {
    /// The account it claims to be of.
    pub account: AccountId,
    /// Who signed it, if anybody did: the account, or one of its credentials.
    pub signer: Option<String>,
    /// The bytes that the signature covers.
    pub signed_bytes: Bytes,
    /// The signature.
    pub signature: Vec<u8>,
    /// The content it names, for the audit.
    pub content: Option<ContentId>,
    /// Where it came from.
    pub caller: IpAddr,
    /// What its connection showed; it counts when nobody signed.
    pub certificate: Option<ClientCertificate>,
}

impl fmt::Debug for WidevineRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WidevineRequest")
            .field("account", &self.account)
            .field("signer", &self.signer)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// Whether a secret is one that the Widevine scheme can verify with: for `widevine-aes` key and IV as
/// 64 and 32 hexadecimal digits with a colon between, for `widevine-rsa` a public key in PEM.
pub fn is_widevine_secret(scheme: Scheme, secret: &[u8]) -> bool {
    match scheme {
        Scheme::WidevineAes => AesSigner::parse(secret).is_some(),
        Scheme::WidevineRsa => PssPublicKey::from_pem(secret).is_some(),
        _ => false,
    }
}

impl Authenticator {
    /// Finds out whether a request of the Widevine common encryption API proves what it claims.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub fn verify_widevine(&self, request: &WidevineRequest) -> Result<Verified, AuthError> {
        let Some(signer) = &request.signer else {
            let unsigned = UnsignedRequest::new(request.account.clone(), request.caller, Unproved::ByOptIn)
                .for_content(request.content.clone())
                .with_certificate(request.certificate.clone());
            return self.verify_unsigned(&unsigned);
        };
        let open = self.directory.account(&request.account)?;
        certain(request.decide(signer, open.as_ref()), open.as_deref(), Scope::Encryption, true)
    }
}

impl WidevineRequest {
    fn decide(&self, signer: &str, open: Option<&Arc<OpenAccount>>) -> Result<Verified, Denied> {
        let (request, id, caller) = (self, self.account.clone(), self.caller);
        let verified = |open, credential: &str, scheme| {
            Verified::without_nonce(open, credential.to_owned(), scheme, caller, request.content.clone())
        };
        let keys = open.map_or_else(Vec::new, |open| keys_of(open, signer));
        let found = keys.iter().find(|key| opens(key, request));
        let fault = match (open, found) {
            (Some(open), Some(key)) => {
                return match open.account.minimum_scheme.filter(|minimum| !key.scheme.meets(*minimum)) {
                    Some(minimum) => Err(Denied::Downgrade { account: id, offered: key.scheme, minimum }),
                    None if !allowed(caller, &open.account.allow_list) => {
                        Err(Denied::Address { account: id, caller })
                    }
                    None => Ok(verified(open.clone(), &key.name, Some(key.scheme))),
                };
            }
            (None, _) => SignatureFault::UnknownAccount,
            (Some(_), None) if keys.is_empty() => SignatureFault::NoCredential,
            (Some(_), None) => SignatureFault::Mismatch,
        };
        refuse_in_the_same_time(&keys, request);
        Err(Denied::Signature { account: id, scope: Scope::Encryption, fault })
    }
}

/// The credentials a signer may mean: the one of that name, or all when it is the account's name.
fn keys_of<'a>(open: &'a OpenAccount, signer: &str) -> Vec<&'a SigningKey> {
    let is_account = open.account.id.as_str() == signer;
    let of_api = |key: &&SigningKey| key.scheme.is_widevine();
    let meant = |key: &&SigningKey| is_account || key.name == signer;
    open.keys.iter().filter(|key| key.scope == Scope::Encryption).filter(of_api).filter(meant).collect()
}

fn opens(key: &SigningKey, request: &WidevineRequest) -> bool {
    let (bytes, signature) = (&request.signed_bytes, &request.signature);
    match key.scheme {
        Scheme::WidevineAes => {
            AesSigner::parse(&key.secret).is_some_and(|signer| signer.verify(bytes, signature))
        }
        Scheme::WidevineRsa => {
            PssPublicKey::from_pem(&key.secret).is_some_and(|key| key.verify(bytes, signature))
        }
        _ => false,
    }
}

/// Does the work of an AES signer for who has none, so that a refusal's time does not tell an account
/// that exists from one that does not.
fn refuse_in_the_same_time(keys: &[&SigningKey], request: &WidevineRequest) {
    if keys.is_empty() {
        std::hint::black_box(AesSigner::dummy().verify(&request.signed_bytes, &request.signature));
    }
}

#[cfg(test)]
mod tests;
