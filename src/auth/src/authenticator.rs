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

use super::presented_proofs::{PresentedProof, PresentedProofs};
use super::{AccountDirectory, AuthError, Grant, Nonce, OpenAccount, SigningKey, Unreadable, allowed};
use keymoot_model::{AccountId, ContentId, Scheme, Scope};
use keymoot_protocol::{CaSystem, Claim, Claims, Signature, SignedPayload};

/// A request as it was received, to be authenticated.
pub struct SignedRequest {
    scope: Scope,
    claim: Claim,
    signed_bytes: Bytes,
    signature: Option<Signature>,
    proofs: PresentedProofs,
    caller: IpAddr,
}

impl SignedRequest {
    /// A request from `caller` that wants `scope` opened, with the protocol's own signature if it has
    /// one.
    pub fn new<T: Claims>(
        scope: Scope,
        said: &SignedPayload<T>,
        signature: Option<Signature>,
        caller: IpAddr,
    ) -> Self {
        let (claim, signed_bytes) = (said.what().claim(), said.bytes().clone());
        Self { scope, claim, signed_bytes, signature, proofs: PresentedProofs::default(), caller }
    }

    /// The same, with what its connection and headers prove.
    pub fn with_proofs(self, proofs: PresentedProofs) -> Self {
        Self { proofs, ..self }
    }
}

impl fmt::Debug for SignedRequest {
    /// Leaves out the signed bytes, which may hold a supplied key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("scope", &self.scope)
            .field("claim", &self.claim)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// Why a request is refused. `Display` is for the log; the caller learns none of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// No signer is named, and the account does not serve such requests, or not there.
    #[error(
        "account {account}: the request from {caller} names no signer, and the account, if there is one, does not \
         allow that from there"
    )]
    Unsigned {
        /// The account the request claims.
        account: AccountId,
        /// Where the request came from.
        caller: IpAddr,
    },
    /// The account refuses a scheme as weak as the request's, whether its proof is right or not.
    #[error(
        "account {account}: its requests must be proved by {minimum} or stronger, not by {offered}; \
         sign them so, or lower the account's minimum_scheme"
    )]
    Downgrade {
        /// The account.
        account: AccountId,
        /// The strongest scheme that the request offers.
        offered: Scheme,
        /// The weakest that the account accepts.
        minimum: Scheme,
    },
    /// The account demands a proof, and the request came where none is given.
    #[error("account {account}: it accepts {minimum} or stronger, so nothing unsigned")]
    ProofDemanded {
        /// The account.
        account: AccountId,
        /// The weakest scheme that the account accepts.
        minimum: Scheme,
    },
    /// The request was shown before, here or to another node.
    #[error(
        "account {account}, credential {credential:?}: the request was shown before; each needs a nonce of its own"
    )]
    Replay {
        /// The account.
        account: AccountId,
        /// The credential that made it.
        credential: String,
    },
}

impl Denied {
    /// Whether a younger state of the accounts might decide otherwise. It is asked for all that
    /// nobody proved, so that the time taken tells nothing about an account.
    pub const fn is_unproved(&self) -> bool {
        matches!(self, Self::Signature { .. } | Self::Downgrade { .. } | Self::Unsigned { .. })
    }

    /// The label under which the refusal is counted.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Signature { fault: SignatureFault::Missing, .. } => "missing",
            Self::Signature { fault: SignatureFault::UnknownAccount, .. } => "unknown_account",
            Self::Signature { fault: SignatureFault::NoCredential, .. } => "no_credential",
            Self::Signature { fault: SignatureFault::Mismatch, .. } => "mismatch",
            Self::Signature { fault: SignatureFault::Stale, .. } => "stale",
            Self::Signature { fault: SignatureFault::Overheard, .. } => "overheard",
            Self::Address { .. } => "address",
            Self::Unsigned { .. } => "unsigned",
            Self::Downgrade { .. } | Self::ProofDemanded { .. } => "downgrade",
            Self::Replay { .. } => "replay",
            Self::CaSystem { .. } => "ca_system",
        }
    }
}

/// What is wrong with the proof of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// It answers a Digest challenge that is too old, or is not this cluster's.
    #[error("the Digest challenge that is answered is too old; the new one can be answered")]
    Stale,
    /// A password or the answer to a challenge came over a connection that anybody can read.
    #[error("Basic and Digest are accepted over TLS only")]
    Overheard,
}

/// A request that was proved, and what must still be spent before it is granted.
#[derive(Debug)]
pub struct Verified {
    account: Arc<OpenAccount>,
    credential: String,
    scope: Scope,
    /// `None` when the allow-list alone held it.
    scheme: Option<Scheme>,
    caller: IpAddr,
    /// `None` when it named its keys by their ids, or is about no content.
    content: Option<ContentId>,
    nonce: Option<Nonce>,
}

impl Verified {
    /// A request that is good more than once.
    pub(super) fn without_nonce(
        account: Arc<OpenAccount>,
        credential: String,
        scheme: Option<Scheme>,
        caller: IpAddr,
        content: Option<ContentId>,
    ) -> Self {
        Self { account, credential, scope: Scope::Encryption, scheme, caller, content, nonce: None }
    }

    /// What makes the request good only once, when its scheme has such a thing.
    pub(super) fn nonce(&self) -> Option<Nonce> {
        self.nonce
    }

    /// What to say when the nonce was spent before.
    pub(super) fn replayed(&self) -> Denied {
        Denied::Replay { account: self.account.account.id.clone(), credential: self.credential.clone() }
    }

    /// Grants, and audits the grant. To be called once the nonce is spent.
    pub(super) fn grant(self) -> Grant {
        let Self { account, credential, scope, scheme, caller, content, .. } = self;
        Grant::issue(account, scope, scheme, credential, caller, content.as_ref())
    }
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

    /// Finds out whether the request proves what it claims. The strongest proof that the account
    /// has a key for decides alone: a right weaker one beside it changes nothing.
    ///
    /// # Errors
    /// [`AuthError::Denied`] says why not, [`AuthError::Unreadable`] that this cannot be told here.
    pub fn verify(&self, request: &SignedRequest) -> Result<Verified, AuthError> {
        let account = self.directory.account(&request.claim.account)?;
        let decided = request.decide(account.as_ref());
        certain(decided, account.as_deref(), request.scope, absent(request).is_none())
    }
}

/// A refusal of what offers a proof, only where each credential that might have made it could be tried.
pub(super) fn certain(
    decided: Result<Verified, Denied>,
    account: Option<&OpenAccount>,
    scope: Scope,
    has_proof: bool,
) -> Result<Verified, AuthError> {
    if let (Err(Denied::Signature { .. } | Denied::Unsigned { .. }), Some(account)) = (&decided, account)
        && has_proof
        && account.unopened.contains(&scope)
    {
        return Err(unopened(account, scope).into());
    }
    Ok(decided?)
}

fn unopened(account: &OpenAccount, scope: Scope) -> Unreadable {
    let id = &account.account.id;
    Unreadable(format!("account {id} has a credential of scope {scope:?} that cannot be opened here"))
}

impl SignedRequest {
    fn decide(&self, account: Option<&Arc<OpenAccount>>) -> Result<Verified, Denied> {
        let (request, id) = (self, &self.claim.account);
        let denied = |fault| Denied::Signature { account: id.clone(), scope: request.scope, fault };
        let mut offers = request.proofs.strongest_first();
        let data = &request.signed_bytes;
        offers.extend(request.signature.as_ref().map(|signature| PresentedProof::Udrm { signature, data }));
        let keys = account.map_or_else(Vec::new, |account| keys_of(account, request.scope));
        let tried: Vec<_> = offers.iter().map(|offer| (offer, offer.try_keys(id, &keys))).collect();
        let Some(account) = account else {
            return Err(denied(absent(request).unwrap_or(SignatureFault::UnknownAccount)));
        };
        let decisive = tried.into_iter().find(|(_, tried)| tried.has_keys);
        refuse_downgrade(account, decisive.as_ref().map(|(offer, _)| *offer).or(offers.first()))?;
        let (offer, key) = match decisive {
            Some((offer, tried)) => (offer, tried.key.ok_or_else(|| denied(SignatureFault::Mismatch))?),
            None => return Err(denied(absent(request).unwrap_or(SignatureFault::NoCredential))),
        };
        within_bounds(account, request.scope, Some(&request.claim.ca_system), request.caller)?;
        Ok(Verified {
            credential: key.name.clone(),
            scope: key.scope,
            scheme: Some(key.scheme),
            caller: request.caller,
            content: request.claim.content.clone(),
            nonce: offer.nonce(id, &key.name),
            account: account.clone(),
        })
    }
}

impl Authenticator {
    /// Whether more should be read of a request that is too large to be read for nobody: its account
    /// exists, has a credential of the scope, and may be used from this address, and a proof is offered.
    ///
    /// # Errors
    /// [`AuthError`] says why not, as [`Self::verify`] would whatever the rest of the request is.
    pub fn may_send_more(
        &self,
        claim: &Claim,
        scope: Scope,
        caller: IpAddr,
        offers_proof: bool,
    ) -> Result<(), AuthError> {
        let denied = |fault| Err(Denied::Signature { account: claim.account.clone(), scope, fault }.into());
        let Some(account) = self.directory.account(&claim.account)? else {
            return denied(SignatureFault::UnknownAccount);
        };
        match (offers_proof, keys_of(&account, scope).is_empty()) {
            (false, _) => denied(SignatureFault::Missing),
            (true, true) if account.unopened.contains(&scope) => Err(unopened(&account, scope).into()),
            (true, true) => denied(SignatureFault::NoCredential),
            (true, false) => Ok(within_bounds(&account, scope, Some(&claim.ca_system), caller)?),
        }
    }
}

/// The keys that may open `scope`.
fn keys_of(account: &OpenAccount, scope: Scope) -> Vec<&SigningKey> {
    account.keys.iter().filter(|key| key.scope == scope).collect()
}

/// Why a request offers no proof at all, if it offers none.
fn absent(request: &SignedRequest) -> Option<SignatureFault> {
    let proofs = &request.proofs;
    if request.signature.is_some() || !proofs.strongest_first().is_empty() {
        return None;
    }
    Some(match (proofs.is_stale(), proofs.is_overheard()) {
        (true, _) => SignatureFault::Stale,
        (_, true) => SignatureFault::Overheard,
        _ => SignatureFault::Missing,
    })
}

/// Refuses a request whose decisive proof is weaker than the account demands, right or not, so that
/// nobody who strips the strong one, or never had it, gets further with a weak one.
fn refuse_downgrade(open: &OpenAccount, decisive: Option<&PresentedProof<'_>>) -> Result<(), Denied> {
    let account = &open.account;
    let Some(minimum) = account.minimum_scheme else { return Ok(()) };
    match decisive.and_then(|offer| offer.schemes().first()) {
        Some(offered) if !offered.meets(minimum) => {
            Err(Denied::Downgrade { account: account.id.clone(), offered: *offered, minimum })
        }
        _ => Ok(()),
    }
}

/// Whether an authentic request keeps to what its account allows. Protocols without a `ca_system`
/// are held by the address alone.
pub(super) fn within_bounds(
    open: &OpenAccount,
    scope: Scope,
    ca_system: Option<&CaSystem>,
    caller: IpAddr,
) -> Result<(), Denied> {
    let account = &open.account;
    if scope == Scope::Encryption && !allowed(caller, &account.allow_list) {
        return Err(Denied::Address { account: account.id.clone(), caller });
    }
    if let Some(ca_system) = ca_system
        && !account.ca_systems.is_empty()
        && !account.ca_systems.iter().any(|own| ca_system.is(own))
    {
        return Err(Denied::CaSystem { account: account.id.clone(), ca_system: ca_system.clone() });
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
