//! Who is asking, and may they: proofs held against accounts, allow-lists, grants, the authenticator.
//!
//! This crate turns a request as it was received into a [`Grant`], which nothing else can build and
//! without which no use case runs. Bytes are verified before they are believed: a signature covers
//! the bytes that arrived, never a re-serialisation. Refusals tell the caller one thing and the log
//! another, so that nobody can probe for accounts. The crate knows no status code and does no I/O;
//! accounts come to it through [`AccountDirectory`], their signing keys already opened.

mod actor;
mod allow_list;
mod authenticator;
mod back_off;
mod client_certificate;
mod denied;
mod grant;
mod nonce;
mod open_account;
mod presented_proofs;
mod request;
mod unproved;

pub use actor::{AuthActor, AuthError, AuthHandle};
pub use allow_list::{FORWARDED_HOPS_MAX, allowed, client_address};
pub use authenticator::{Authenticator, Verified};
pub use back_off::{Attempt, BackOff, BackOffSettings, MustWait};
pub use client_certificate::ClientCertificate;
pub use denied::{Denied, SignatureFault, UnsaidPart};
pub use grant::Grant;
pub use nonce::{LedgerError, Nonce, NonceLedger, Spent};
pub use open_account::{AccountDirectory, OpenAccount, SigningKey, Unreadable};
pub use presented_proofs::PresentedProofs;
pub use request::{Request, Unproved};
