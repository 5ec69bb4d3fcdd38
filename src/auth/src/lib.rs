//! Who is asking, and may they: proofs, allow-lists, grants, the authenticator.
//!
//! This crate turns a request as it was received into a [`Grant`], which nothing else can build and
//! without which no use case runs. Bytes are verified before they are believed: a signature covers
//! the bytes that arrived, never a re-serialisation. Refusals tell the caller one thing and the log
//! another, so that nobody can probe for accounts. The crate knows no status code and does no I/O;
//! accounts come to it through [`AccountDirectory`], their signing keys already opened.

mod actor;
mod allow_list;
mod authenticator;
mod client_certificate;
mod grant;
mod key_token;
mod nonce;
mod open_account;
mod presented_proofs;
mod pss;
mod unsigned;
mod widevine;

pub use actor::{AuthActor, AuthError, AuthHandle};
pub use allow_list::{FORWARDED_HOPS_MAX, allowed, client_address};
pub use authenticator::{Authenticator, Denied, SignatureFault, SignedRequest, Verified};
pub use client_certificate::ClientCertificate;
pub use grant::Grant;
pub use nonce::{LedgerError, Nonce, NonceLedger, Spent};
pub use open_account::{AccountDirectory, OpenAccount, SigningKey, Unreadable};
pub use presented_proofs::PresentedProofs;
pub use unsigned::{Unproved, UnsignedRequest};
pub use widevine::{WidevineRequest, is_widevine_secret};
