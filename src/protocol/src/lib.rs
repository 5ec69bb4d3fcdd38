//! Requests as their protocols write them, and what proves them: custom data, query strings, the requests of
//! packagers by Widevine, PlayReady and HLS, signatures, HTTP authentication, message signatures, tokens.
//! Pure: bytes in, values or a refusal out.
//!
//! What is believed is read from the very bytes that a signature covers ([`SignedPayload`]), never from a
//! re-serialisation. Every parser here is a fuzz target. This crate knows no account, no status code and
//! no clock; whether a proof is right is asked with a secret that the caller brings. The feature `server`
//! adds what no client reads.

mod answer_proof;
mod authorization;
mod auxiliary;
mod aws_canonical;
mod aws_signature;
mod bulk;
mod claimed_names;
pub mod content_digest;
mod credential_name;
mod custom_data;
mod envelope;
mod export_request;
#[cfg(feature = "server")]
pub mod hls;
mod http_signature;
mod key_token;
mod message_key;
#[cfg(feature = "server")]
pub mod playready;
mod policy_data;
#[cfg(feature = "openapi")]
mod published;
#[cfg(feature = "server")]
pub mod query;
mod schedule_data;
mod server_keys;
mod signature;
pub mod signature_base;
mod signed_method;
mod signed_payload;
mod strict_json;
mod viewer_digests;
#[cfg(feature = "server")]
pub mod widevine;

pub use answer_proof::{AnswerProofError, ReceivedAnswer, accept_signature, verify_answer};
pub use authorization::{Authorization, BasicAnswer, DigestAnswer, DigestNonces, REALM};
pub use aws_signature::{AccessKey, AwsSignature, AwsSignatureError};
pub use bulk::{BulkBody, BulkError, BulkHead, BulkItem};
pub use claimed_names::claimed_names;
pub use content_digest::ContentDigestError;
pub use credential_name::CredentialName;
pub use custom_data::{CaSystem, CustomData, CustomDataError};
pub use envelope::Envelope;
pub use export_request::ExportRequest;
pub use http_signature::{HttpSignature, HttpSignatureError, SignatureWindow, TAG};
pub use key_token::{KeyToken, KeyTokens};
pub use message_key::{MessageKey, MessageKeyError, RequestSignature};
pub use policy_data::{GivenPolicy, PolicyData};
pub use schedule_data::{PeriodTime, ScheduleData};
pub use server_keys::{ServerKeys, SignedHeaders};
pub use signature::{Signature, SignatureError};
pub use signature_base::BaseError;
pub use signed_method::{METHOD_MEMBER, SignedMethod};
pub use signed_payload::{Claim, Claims, SignedPayload};
pub use viewer_digests::ViewerDigests;
