//! Who is asking, and may they: signatures, custom data, allow-lists, the authenticator.
//!
//! This room turns a request as it was received into a [`Grant`], which nothing else can build and
//! without which no use case runs. Bytes are verified before they are believed: a signature covers
//! the bytes that arrived, never a re-serialisation. Refusals tell the caller one thing and the log
//! another, so that nobody can probe for accounts. The room knows no status code and does no I/O;
//! accounts come to it through [`AccountDirectory`], their signing keys already opened.

mod actor;
mod allow_list;
mod answer_proof;
mod authenticator;
mod authorization;
mod auxiliary;
mod bulk;
mod client_certificate;
pub mod content_digest;
mod credential_name;
mod custom_data;
mod envelope;
mod export_request;
mod grant;
mod http_signature;
mod key_token;
mod message_key;
mod nonce;
mod offer;
mod open_account;
mod policy_data;
mod said;
mod schedule_data;
mod server_keys;
mod signature;
mod signature_base;
mod strict_json;
mod unsigned;
mod widevine;

pub use actor::{AuthActor, AuthError, AuthHandle};
pub use allow_list::{FORWARDED_HOPS_MAX, allowed, client_address};
pub use answer_proof::{AnswerProofError, ReceivedAnswer, accept_signature, verify_answer};
pub use authenticator::{Authenticator, Denied, SignatureFault, SignedRequest, Verified};
pub use authorization::{Authorization, BasicAnswer, DigestAnswer, DigestNonces, REALM};
pub use bulk::{BulkBody, BulkError, BulkHead, BulkItem};
pub use client_certificate::ClientCertificate;
pub use content_digest::ContentDigestError;
pub use credential_name::CredentialName;
pub use custom_data::{CaSystem, CustomData, CustomDataError};
pub use envelope::Envelope;
pub use export_request::ExportRequest;
pub use grant::Grant;
pub use http_signature::{HttpSignature, HttpSignatureError, SignatureWindow, TAG};
pub use key_token::{KeyToken, KeyTokens};
pub use message_key::{MessageKey, MessageKeyError, RequestSignature};
pub use nonce::{LedgerError, Nonce, NonceLedger, Spent};
pub use offer::Proofs;
pub use open_account::{AccountDirectory, OpenAccount, SigningKey, Unreadable};
pub use policy_data::{GivenPolicy, PolicyData};
pub use said::{Claim, Claims, Said};
pub use schedule_data::{FirstPeriod, ScheduleData};
pub use server_keys::{ServerKeys, SignedHeaders};
pub use signature::{Signature, SignatureError};
pub use signature_base::BaseError;
pub use unsigned::{Unproved, UnsignedRequest};
pub use widevine::{WidevineRequest, is_widevine_secret};
