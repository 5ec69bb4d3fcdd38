//! Why a request is refused: one thing for the caller, the true reason for the log.

use std::net::IpAddr;

use keymoot_model::{AccountId, Scheme, Scope};
use keymoot_protocol::CaSystem;

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
    /// The certificate that came is none of the account's.
    #[error(
        "account {account}, scope {scope:?}: the certificate that came ({certificate}) is named by {}; add one that \
         names it, or show another",
        if *.has_credentials { "none of its mutual-tls credentials" } else { "nothing: it has no mutual-tls credential" }
    )]
    Certificate {
        account: AccountId,
        scope: Scope,
        /// What it bears.
        certificate: String,
        /// Whether the account has credentials that are certificates.
        has_credentials: bool,
    },
    /// The signature is right, but the caller's address is not on the account's allow-list.
    #[error(
        "account {account}: the address {caller} is not on its allow-list; add its network if it is a scrambler's"
    )]
    Address {
        account: AccountId,
        /// Where the request came from.
        caller: IpAddr,
    },
    /// The signature is right, but the account does not use this `ca_system`.
    #[error("account {account}: ca_system {:?} is not one of the account's", .ca_system.as_str())]
    CaSystem {
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
        account: AccountId,
        /// The strongest scheme that the request offers.
        offered: Scheme,
        /// The weakest that the account accepts.
        minimum: Scheme,
    },
    /// The account demands a proof, and the request came where none is given.
    #[error("account {account}: it accepts {minimum} or stronger, so nothing unsigned")]
    ProofDemanded {
        account: AccountId,
        /// The weakest scheme that the account accepts.
        minimum: Scheme,
    },
    /// The signature is right, but covers custom data alone, and the account wants more said.
    #[error("account {account}: {unsaid}")]
    Unsaid {
        account: AccountId,
        /// What it does not cover.
        unsaid: UnsaidPart,
    },
    /// The request was shown before, here or to another node.
    #[error(
        "account {account}, credential {credential:?}: the request was shown before; each needs a nonce of its own"
    )]
    Replay {
        account: AccountId,
        /// The credential that made it.
        credential: String,
    },
}

impl Denied {
    /// Whether a younger state of the accounts might decide otherwise. It is asked for all that
    /// nobody proved, so that the time taken tells nothing about an account.
    pub const fn is_unproved(&self) -> bool {
        matches!(
            self,
            Self::Signature { .. }
                | Self::Certificate { .. }
                | Self::Downgrade { .. }
                | Self::Unsigned { .. }
                | Self::Unsaid { .. }
        )
    }

    /// The label under which the refusal is counted.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Signature { fault: SignatureFault::Missing, .. } => "missing",
            Self::Signature { fault: SignatureFault::UnknownAccount, .. } => "unknown_account",
            Self::Signature { fault: SignatureFault::Suspended, .. } => "suspended",
            Self::Signature { fault: SignatureFault::NoCredential, .. } => "no_credential",
            Self::Signature { fault: SignatureFault::Mismatch, .. } => "mismatch",
            Self::Signature { fault: SignatureFault::Stale, .. } => "stale",
            Self::Signature { fault: SignatureFault::Overheard, .. } => "overheard",
            Self::Certificate { has_credentials: true, .. } => "mismatch",
            Self::Certificate { has_credentials: false, .. } => "missing",
            Self::Address { .. } => "address",
            Self::Unsigned { .. } => "unsigned",
            Self::Downgrade { .. } | Self::ProofDemanded { .. } => "downgrade",
            Self::Unsaid { .. } => "unsaid",
            Self::Replay { .. } => "replay",
            Self::CaSystem { .. } => "ca_system",
        }
    }
}

/// What a signature of `udrm-sha1` does not say. Fit for the caller, who made it or was shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsaidPart {
    /// For which method it is.
    #[error(
        "a signature of udrm-sha1 covers neither method nor path: put the member \"method\" with the request's \
         method into what is signed, or sign by RFC 9421"
    )]
    Method,
    /// Which version of the policy it replaces.
    #[error(
        "a signature of udrm-sha1 never expires: put the member \"replaces\" with the version of the policy that \
         is replaced or deleted into what is signed, or sign by RFC 9421"
    )]
    Version,
    /// That something is to be replaced or deleted.
    #[error("the account takes no PUT and no DELETE that is proved by udrm-sha1; sign it by RFC 9421")]
    Change,
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
    /// The account is suspended.
    #[error(
        "the account is suspended; `keymoot account resume` ends that, or `keymoot account confirm` after a restore"
    )]
    Suspended,
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
