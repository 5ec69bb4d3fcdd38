//! Who is asking, and may they: signatures, custom data, allow-lists, the authenticator.
//!
//! This room turns a request as it was received into a [`Grant`], which nothing else can build and
//! without which no use case runs. Bytes are verified before they are believed: a signature covers
//! the bytes that arrived, never a re-serialisation. Refusals tell the caller one thing and the log
//! another, so that nobody can probe for accounts. The room knows no status code and does no I/O;
//! accounts come to it through [`AccountDirectory`], their signing keys already opened.

mod actor;
mod allow_list;
mod authenticator;
mod auxiliary;
#[cfg(test)]
pub(crate) mod captured_log;
mod custom_data;
mod grant;
mod open_account;
mod signature;
mod strict_json;
mod unsigned;

pub use actor::{AuthActor, AuthError, AuthHandle};
pub use allow_list::{FORWARDED_HOPS_MAX, allowed, client_address};
pub use authenticator::{Authenticator, Denied, SignatureFault, SignedRequest};
pub use custom_data::{CaSystem, CustomData, CustomDataError};
pub use grant::Grant;
pub use open_account::{AccountDirectory, OpenAccount, SigningKey};
pub use signature::{Signature, SignatureError};
pub use unsigned::UnsignedRequest;
