//! The decision: does this request open this scope?
//!
//! Proofs are checked first, so only a holder of a credential can learn anything about an account. An unknown
//! account, an account without a credential of the scope and a wrong proof cost the same work and give the
//! same public answer; the log alone knows which it was. A key of one scope never opens another: a player's
//! signed custom data, replayed as an encryption request, would otherwise hand out the content key.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::presented_proofs::PresentedProof;
use super::request::Request;
use super::{
    AccountDirectory, AuthError, ClientCertificate, Denied, Grant, Nonce, OpenAccount, SignatureFault,
    SigningKey, Unreadable, UnsaidPart, allowed,
};
use keymoot_audit::Trail;
use keymoot_model::{AccountId, ContentId, Scheme, Scope, Sha1Use};
use keymoot_protocol::CaSystem;

/// A request that was proved, or let in by where it came from, and what must still be spent before it is
/// granted.
#[derive(Debug)]
pub struct Verified {
    pub(super) account: Arc<OpenAccount>,
    pub(super) credential: String,
    pub(super) scope: Scope,
    /// `None` when the allow-list alone held it.
    pub(super) scheme: Option<Scheme>,
    pub(super) caller: IpAddr,
    /// `None` when it named its keys by their ids, or is about no content.
    pub(super) content: Option<ContentId>,
    /// Where the grant is audited.
    pub(super) trail: Option<Arc<Trail>>,
    pub(super) nonce: Option<Nonce>,
    /// Where the credential's last grant is noted; `None` when there is no credential.
    pub(super) last_used_ms: Option<Arc<AtomicU64>>,
}

impl Verified {
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
        let Self { account, credential, scope, scheme, caller, content, trail, last_used_ms, .. } = self;
        if let Some(last_used_ms) = last_used_ms {
            last_used_ms.store(now_ms(), Ordering::Relaxed);
        }
        Grant::issue(account, scope, scheme, credential, caller, (content, trail))
    }

    /// Grants a request that is good more than once, and audits the grant; none when a nonce has to be spent
    /// first, as [`super::AuthHandle`] does.
    pub fn grant_repeatable(self) -> Option<Grant> {
        self.nonce.is_none().then(|| self.grant())
    }
}

/// Authenticates requests against a directory of accounts.
#[derive(Clone)]
pub struct Authenticator {
    directory: Arc<dyn AccountDirectory>,
}

impl Authenticator {
    /// An authenticator over this directory.
    pub fn new(directory: Arc<dyn AccountDirectory>) -> Self {
        Self { directory }
    }

    /// Finds out whether the request proves what it claims. The strongest proof that the account has a key
    /// for decides alone: a right weaker one beside it changes nothing. Where none decides, it depends on the
    /// request's way here whether it is served unproved.
    ///
    /// # Errors
    /// [`AuthError::Denied`] says why not, [`AuthError::Unreadable`] that this cannot be told here.
    pub fn verify(&self, request: &Request) -> Result<Verified, AuthError> {
        let found = self.directory.account(&request.account)?;
        // To the caller a suspended account is no account, in what is answered and in the work for it.
        let account = found.as_ref().filter(|account| !account.is_suspended);
        let decided = request.decide(account);
        if found.is_some()
            && let Err(Denied::Signature { fault: SignatureFault::UnknownAccount, .. }) = decided
        {
            return Err(request.denied(SignatureFault::Suspended).into());
        }
        certain(decided, account.map(|account| &**account), request)
    }
}

/// A refusal of what offers a proof, only where each credential that might have made it could be tried.
fn certain(
    decided: Result<Verified, Denied>,
    account: Option<&OpenAccount>,
    request: &Request,
) -> Result<Verified, AuthError> {
    if let (
        Err(Denied::Signature { .. } | Denied::Certificate { .. } | Denied::Unsigned { .. }),
        Some(account),
    ) = (&decided, account)
        && account.unopened.contains(&request.scope)
        && !request.offers().is_empty()
    {
        return Err(unopened(account, request.scope).into());
    }
    Ok(decided?)
}

fn unopened(account: &OpenAccount, scope: Scope) -> Unreadable {
    let id = &account.account.id;
    Unreadable(format!("account {id} has a credential of scope {scope:?} that cannot be opened here"))
}

impl Request {
    /// All that is offered is tried, whatever comes of it and whether there is such an account or not.
    fn decide(&self, account: Option<&Arc<OpenAccount>>) -> Result<Verified, Denied> {
        let offers = self.offers();
        let keys = account.map_or_else(Vec::new, |account| keys_of(account, self.scope));
        let tried: Vec<_> =
            offers.iter().map(|offer| (offer, offer.try_keys(&self.account, &keys))).collect();
        let decisive = tried.into_iter().find(|(_, tried)| tried.has_keys);
        let (Some(account), Some((offer, tried))) = (account, decisive) else {
            return self.decide_unproved(&offers, account);
        };
        refuse_downgrade(account, offer.strongest_scheme(tried.key))?;
        let key = tried.key.ok_or_else(|| self.mismatched(offer))?;
        self.within_bounds(account)?;
        self.refuse_unsaid(account, key)?;
        Ok(Verified {
            credential: key.name.clone(),
            scope: key.scope,
            scheme: Some(key.scheme),
            caller: self.caller,
            content: self.content.clone(),
            trail: self.trail.clone(),
            nonce: self.nonce(offer, &key.name),
            last_used_ms: Some(key.last_used_ms.clone()),
            account: account.clone(),
        })
    }

    /// What must be spent, unless the proof has no nonce and the request asks for the same again.
    fn nonce(&self, offer: &PresentedProof<'_>, credential: &str) -> Option<Nonce> {
        let is_free = self.is_repeatable && offer.is_without_nonce();
        offer.nonce(&self.account, credential).filter(|_| !is_free)
    }

    /// Why a proof that a credential of the account must have made is none.
    fn mismatched(&self, offer: &PresentedProof<'_>) -> Denied {
        match offer {
            PresentedProof::Certificate(own) => self.denied_certificate(own, true),
            _ => self.denied(SignatureFault::Mismatch),
        }
    }

    pub(super) fn denied_certificate(&self, own: &ClientCertificate, has_credentials: bool) -> Denied {
        let (account, certificate) = (self.account.clone(), own.described());
        Denied::Certificate { account, scope: self.scope, certificate, has_credentials }
    }

    pub(super) fn denied(&self, fault: SignatureFault) -> Denied {
        Denied::Signature { account: self.account.clone(), scope: self.scope, fault }
    }

    /// Refuses what a right signature over custom data alone does not say, as far as the account will not have
    /// it supplied by whoever shows the signature.
    fn refuse_unsaid(&self, open: &OpenAccount, key: &SigningKey) -> Result<(), Denied> {
        let refused = |unsaid| Err(Denied::Unsaid { account: self.account.clone(), unsaid });
        match (key.scheme, open.sha1) {
            (Scheme::UdrmSha1, Sha1Use::NoChanges) if self.unsaid.is_change => refused(UnsaidPart::Change),
            (Scheme::UdrmSha1, Sha1Use::NoChanges | Sha1Use::Bound) if self.unsaid.method => {
                refused(UnsaidPart::Method)
            }
            _ => Ok(()),
        }
    }

    /// Whether it keeps to what its account allows, proved or not.
    pub(super) fn within_bounds(&self, open: &OpenAccount) -> Result<(), Denied> {
        within_bounds(open, self.scope, self.ca_system.as_ref(), self.caller)
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
        (account, ca_system): (&AccountId, Option<&CaSystem>),
        scope: Scope,
        caller: IpAddr,
        offers_proof: bool,
    ) -> Result<(), AuthError> {
        let denied = |fault| Err(Denied::Signature { account: account.clone(), scope, fault }.into());
        let Some(account) = self.directory.account(account)? else {
            return denied(SignatureFault::UnknownAccount);
        };
        if account.is_suspended {
            return denied(SignatureFault::Suspended);
        }
        match (offers_proof, keys_of(&account, scope).is_empty()) {
            (false, _) => denied(SignatureFault::Missing),
            (true, true) if account.unopened.contains(&scope) => Err(unopened(&account, scope).into()),
            (true, true) => denied(SignatureFault::NoCredential),
            (true, false) => Ok(within_bounds(&account, scope, ca_system, caller)?),
        }
    }
}

fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

/// The keys that may open `scope`.
fn keys_of(account: &OpenAccount, scope: Scope) -> Vec<&SigningKey> {
    account.keys.iter().filter(|key| key.scope == scope).collect()
}

/// Refuses a request whose decisive proof, at its strongest, is weaker than the account demands, right or
/// not, so that nobody who strips the strong one, or never had it, gets further with a weak one.
pub(super) fn refuse_downgrade(open: &OpenAccount, strongest: Option<Scheme>) -> Result<(), Denied> {
    let account = &open.account;
    match (account.minimum_scheme, strongest) {
        (Some(minimum), Some(offered)) if !offered.meets(minimum) => {
            Err(Denied::Downgrade { account: account.id.clone(), offered, minimum })
        }
        _ => Ok(()),
    }
}

/// Whether an authentic request keeps to what its account allows. Protocols without a `ca_system`
/// are held by the address alone.
fn within_bounds(
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
