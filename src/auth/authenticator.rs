//! The decision: does this request open this scope?
//!
//! The signature is checked first, so only a holder of a credential can learn anything about an
//! account. An unknown account, an account without a credential of the scope and a wrong signature
//! cost the same hashing and give the same public answer; the log alone knows which it was. A key
//! of one scope never opens another: a player's signed custom data, replayed as an encryption
//! request, would otherwise hand out the content key.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::{
    AccountDirectory, CaSystem, CustomData, CustomDataError, Grant, OpenAccount, Signature, SigningKey,
    allowed,
};
use crate::model::{AccountId, Scheme, Scope};

/// How many keys are tried at least, dummies making up for those an account does not have. Two are
/// valid at once while a key is rolled over.
const KEYS_TRIED_MIN: usize = 2;

/// What stands in for keys that are not there. Matching it opens nothing.
const DUMMY_KEY: &[u8] = b"this key belongs to no account..";

/// A request as it was received, to be authenticated. Its custom data is parsed from the very bytes
/// the signature covers, so what is verified and what is believed cannot differ.
pub struct SignedRequest {
    scope: Scope,
    custom_data: Arc<CustomData>,
    signed_bytes: Bytes,
    signature: Option<Signature>,
    caller: IpAddr,
}

impl SignedRequest {
    /// A request from `caller` that wants `scope` opened. `signed_bytes` are the bytes as received
    /// that hold the custom data: the body, or the decoded `custom_data` parameter.
    ///
    /// # Errors
    /// [`CustomDataError`] when the bytes are no custom data.
    pub fn parse(
        scope: Scope,
        signed_bytes: Bytes,
        signature: Option<Signature>,
        caller: IpAddr,
    ) -> Result<Self, CustomDataError> {
        let custom_data = Arc::new(CustomData::parse(&signed_bytes)?);
        Ok(Self { scope, custom_data, signed_bytes, signature, caller })
    }

    /// What the request says about itself; to be believed once there is a [`Grant`].
    pub fn custom_data(&self) -> Arc<CustomData> {
        Arc::clone(&self.custom_data)
    }
}

impl fmt::Debug for SignedRequest {
    /// Leaves out the signed bytes, which may hold a supplied key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("scope", &self.scope)
            .field("custom_data", &self.custom_data)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// Why a request is refused. `Display` is for the log; the caller learns none of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Nothing proves that the account sent the request.
    #[error("account {account}, scope {scope:?}: {fault}")]
    Signature {
        /// The account the request claims.
        account: AccountId,
        /// What it wanted opened.
        scope: Scope,
        /// What is wrong with the proof.
        fault: SignatureFault,
    },
    /// The signature is right, but the caller's address is not on the account's allow-list.
    #[error(
        "account {account}: the address {caller} is not on its allow-list; add its network if it is a scrambler's"
    )]
    Address {
        /// The account.
        account: AccountId,
        /// Where the request came from.
        caller: IpAddr,
    },
    /// The signature is right, but the account does not use this `ca_system`.
    #[error("account {account}: ca_system {:?} is not one of the account's", .ca_system.as_str())]
    CaSystem {
        /// The account.
        account: AccountId,
        /// What the request carried.
        ca_system: CaSystem,
    },
}

/// What is wrong with the proof of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureFault {
    /// The request carries no signature.
    #[error("no signature is given")]
    Missing,
    /// There is no such account.
    #[error("no such account")]
    UnknownAccount,
    /// The account has no credential that opens the scope.
    #[error("the account has no credential of that scope")]
    NoCredential,
    /// No credential of the scope made this signature over these bytes.
    #[error(
        "the signature matches no credential of that scope; compare the signing key and the exact bytes signed"
    )]
    Mismatch,
}

/// Authenticates requests against a directory of accounts.
#[derive(Clone)]
pub struct Authenticator {
    pub(super) directory: Arc<dyn AccountDirectory>,
}

impl Authenticator {
    /// An authenticator over this directory.
    pub fn new(directory: Arc<dyn AccountDirectory>) -> Self {
        Self { directory }
    }

    /// Grants what the request asks, and audits the grant.
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn authenticate(&self, request: &SignedRequest) -> Result<Grant, Denied> {
        let id = request.custom_data.account_id();
        let account = self.directory.account(id);
        let denied = |fault| Denied::Signature { account: id.clone(), scope: request.scope, fault };
        let Some(signature) = &request.signature else {
            return Err(denied(SignatureFault::Missing));
        };
        let keys = account.as_deref().map_or_else(Vec::new, |account| keys_of(account, request.scope));
        let key = signing_key(&keys, signature, &request.signed_bytes);
        let (account, key) = match (&account, key) {
            (Some(account), Some(key)) => (account, key),
            (None, _) => return Err(denied(SignatureFault::UnknownAccount)),
            (Some(_), None) if keys.is_empty() => return Err(denied(SignatureFault::NoCredential)),
            (Some(_), None) => return Err(denied(SignatureFault::Mismatch)),
        };
        within_bounds(account, request.scope, request.custom_data.ca_system(), request.caller)?;
        Ok(Grant::issue(account.clone(), key, request.caller, request.custom_data.content_id()))
    }
}

/// The keys that may open `scope`.
fn keys_of(account: &OpenAccount, scope: Scope) -> Vec<&SigningKey> {
    account.keys.iter().filter(|key| key.scope == scope && key.scheme == Scheme::UdrmSha1).collect()
}

/// The first of `keys` that made the signature. All are tried, and dummies for those that are
/// missing, so that the time taken tells nothing.
fn signing_key<'k>(keys: &[&'k SigningKey], signature: &Signature, data: &[u8]) -> Option<&'k SigningKey> {
    let mut found = None;
    for key in keys {
        let matches = signature.verify(&key.secret, data);
        if matches && found.is_none() {
            found = Some(*key);
        }
    }
    for _ in keys.len()..KEYS_TRIED_MIN {
        std::hint::black_box(signature.verify(DUMMY_KEY, data));
    }
    found
}

/// Whether an authentic request keeps to what its account allows.
pub(super) fn within_bounds(
    open: &OpenAccount,
    scope: Scope,
    ca_system: &CaSystem,
    caller: IpAddr,
) -> Result<(), Denied> {
    let account = &open.account;
    if scope == Scope::Encryption && !allowed(caller, &account.allow_list) {
        return Err(Denied::Address { account: account.id.clone(), caller });
    }
    if !account.ca_systems.is_empty() && !account.ca_systems.iter().any(|own| ca_system.is(own)) {
        return Err(Denied::CaSystem { account: account.id.clone(), ca_system: ca_system.clone() });
    }
    Ok(())
}

#[cfg(test)]
#[path = "authenticator_test.rs"]
pub(super) mod tests;
