//! System data: what a DRM system needs to know of a content key. Made on request.
//!
//! System data (a `pssh` payload, a PlayReady Object) is a pure function of a key's identity, so it is never
//! stored: a new build corrects a wrong provider, which can never make replicas differ. A provider per system
//! stands behind one trait; a [`Registry`] holds them, and [`EncryptionProvider`] names those of a uDRM path.
//! Logic lives in plain structs; `keymoot_service::DrmActor` is a thin shell that bounds the queue.
//!
//! The crate does no I/O, knows no clock and no status code. A content key passes through only for
//! a checksum, is never kept, and appears in no output, error or `Debug` text.

mod cenc;
mod encryption_provider;
mod error;
pub mod fairplay;
mod info;
pub mod playready;
mod primetime;
pub mod protobuf;
pub mod pssh;
mod registry;
mod scheme;
mod system;
mod widevine;

#[cfg(test)]
mod conformance;

pub use cenc::CencCommon;
pub use encryption_provider::EncryptionProvider;
pub use error::DrmError;
pub use info::{ContentKeyInfo, OwnedContentKeyInfo};
pub use playready::{LicenseUrl, PlayReady};
pub use primetime::Primetime;
pub use registry::{Provider, Registry};
pub use scheme::ProtectionScheme;
pub use system::{System, SystemData, SystemId};
pub use widevine::Widevine;
