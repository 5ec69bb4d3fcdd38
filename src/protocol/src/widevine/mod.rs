//! The Widevine common encryption API, as packagers speak it: the envelope, the request inside, who signed
//! it, and the words for how it ends.

mod pss;
mod request;
mod signature;
mod status;
mod track_types;

pub use request::{
    AskedTrack, ContentKeyEnvelope, ContentKeyEnvelopeJson, ContentKeyRequest, ContentKeyRequestJson,
    DrmType, KIDS_MAX, RequestedPeriods, Specifier, SuppliedKey,
};
pub use signature::{WidevineKey, WidevineSignature};
pub use status::{RequestError, Status};
pub use track_types::{TRACK_TYPES, track_type};
