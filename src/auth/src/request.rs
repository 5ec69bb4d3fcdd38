//! A request as it was received, of whatever protocol, to be authenticated.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use keymoot_audit::Trail;
use keymoot_model::{AccountId, ContentId, Scope};
use keymoot_protocol::widevine::WidevineSignature;
use keymoot_protocol::{CaSystem, Claim, Claims, CustomDataError, KeyToken, Signature, SignedPayload};

use super::presented_proofs::{PresentedProof, PresentedProofs};

/// Whose request it claims to be, what it wants opened, and what it presents for that.
pub struct Request {
    pub(super) scope: Scope,
    pub(super) account: AccountId,
    /// None: its protocol has no such thing.
    pub(super) ca_system: Option<CaSystem>,
    /// None: it names its keys by their ids, or is about no content.
    pub(super) content: Option<ContentId>,
    pub(super) caller: IpAddr,
    pub(super) signature: Option<OwnSignature>,
    pub(super) proofs: PresentedProofs,
    pub(super) unproved: Unproved,
    /// What a signature of uDRM does not say of it, because it covers custom data alone.
    pub(super) unsaid: Unsaid,
    /// Whether it asks for nothing but what it was answered before.
    pub(super) is_repeatable: bool,
    /// Where a grant of it is audited.
    pub(super) trail: Option<Arc<Trail>>,
}

/// What the custom data leave open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unsaid {
    /// They must name the method, and do not.
    pub(super) method: bool,
    /// It is a PUT or a DELETE, which nobody can tell from the signature.
    pub(super) is_change: bool,
}

/// The protocol's own signature.
pub(super) enum OwnSignature {
    Udrm { signature: Signature, signed_bytes: Bytes },
    Widevine(WidevineSignature),
}

/// Whether a request is served that presents no proof of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproved {
    /// Never: those of its protocol are signed.
    Never,
    /// Never: it came by a listener that demands certificates.
    Refused,
    /// Yes, because it came by a listener that the operator opened for such packagers.
    ByListener,
    /// Only if its account opted in.
    ByOptIn,
    /// Yes, because it shows a token that this cluster made for whoever had proved themselves.
    ByToken,
}

impl Request {
    /// A request by this HTTP method from `caller` that wants `scope` opened, with the protocol's own signature
    /// if it has one.
    pub fn signed<T: Claims>(
        (scope, method): (Scope, &str),
        payload: &SignedPayload<T>,
        signature: Option<Signature>,
        caller: IpAddr,
    ) -> Self {
        let Claim { account, ca_system, content, method: named } = payload.value().claim();
        let unsaid = Unsaid {
            method: T::NAMES_METHOD && named.is_none(),
            is_change: !matches!(method, "GET" | "POST"),
        };
        let signed_bytes = payload.bytes().clone();
        let signature = signature.map(|signature| OwnSignature::Udrm { signature, signed_bytes });
        let request = Self::unsigned(account, caller, Unproved::Never);
        Self { scope, ca_system: Some(ca_system), content, signature, unsaid, ..request }
    }

    /// A request of the Widevine common encryption API from `caller`, which this signature proves or nothing.
    pub fn signed_for_widevine(account: AccountId, signature: WidevineSignature, caller: IpAddr) -> Self {
        let signature = Some(OwnSignature::Widevine(signature));
        Self { signature, ..Self::unsigned(account, caller, Unproved::Never) }
    }

    /// A request for keys on behalf of `account` from `caller`, of a client that cannot sign.
    pub fn unsigned(account: AccountId, caller: IpAddr, unproved: Unproved) -> Self {
        Self {
            scope: Scope::Encryption,
            account,
            ca_system: None,
            content: None,
            caller,
            signature: None,
            proofs: PresentedProofs::default(),
            unproved,
            unsaid: Unsaid::default(),
            is_repeatable: false,
            trail: None,
        }
    }

    /// A request for the key of this token, which is verified.
    pub fn with_token(token: &KeyToken, caller: IpAddr) -> Self {
        let request = Self::unsigned(token.account().clone(), caller, Unproved::ByToken);
        request.for_content(Some(token.content().clone()))
    }

    /// The same with what its connection and headers prove.
    pub fn with_proofs(self, proofs: PresentedProofs) -> Self {
        Self { proofs, ..self }
    }

    /// The same as one that, sent again, changes nothing and is answered alike: a proof without a nonce is then good for
    /// as long as its time is.
    pub fn repeatable(self) -> Self {
        Self { is_repeatable: true, ..self }
    }

    /// The same for keys of a content, for the audit.
    pub fn for_content(self, content: Option<ContentId>) -> Self {
        Self { content, ..self }
    }

    /// The same from a client of this `ca_system`.
    ///
    /// # Errors
    /// [`CustomDataError`] when it is none.
    pub fn of_ca_system(self, ca_system: &str) -> Result<Self, CustomDataError> {
        Ok(Self { ca_system: Some(CaSystem::new(ca_system)?), ..self })
    }

    /// The same as one whose grant is audited there.
    pub fn on_trail(self, trail: Arc<Trail>) -> Self {
        trail.claims(&self.account, self.content.as_ref());
        Self { trail: Some(trail), ..self }
    }

    /// The account that it claims to be of.
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Everything offered as proof, the strongest first. Who signs for Widevine is held to that.
    pub(super) fn offers(&self) -> Vec<PresentedProof<'_>> {
        let mut offers = match &self.signature {
            Some(OwnSignature::Widevine(signature)) => return vec![PresentedProof::Widevine(signature)],
            _ => self.proofs.strongest_first(),
        };
        if let Some(OwnSignature::Udrm { signature, signed_bytes }) = &self.signature {
            offers.push(PresentedProof::Udrm { signature, data: signed_bytes });
        }
        offers
    }
}

impl fmt::Debug for Request {
    /// Leaves out the signed bytes, which may hold a supplied key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("scope", &self.scope)
            .field("account", &self.account)
            .field("content", &self.content)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
