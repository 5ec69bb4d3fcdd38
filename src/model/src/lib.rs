//! The pure types that every crate uses: identifiers, accounts, keys, crypto periods, policies.
//!
//! Nothing here does I/O, knows a clock or holds a plaintext secret. Identifiers are validated once, when
//! they are parsed; a value of such a type is always valid.

mod account;
mod account_change;
mod account_check;
mod account_status;
mod auxiliary;
mod client_network;
mod cluster_name;
mod document_path;
mod document_settings;
pub mod empty_is_none;
mod ids;
mod key;
mod key_kind;
mod key_uri;
pub mod loose_base64;
mod network;
mod operator;
mod period;
mod policy;
mod scheme;
mod sha1_use;
mod time_stamp;
mod viewer;
mod wrapped;

pub use account::{Account, Consistency, Credential, ResponseShape, Scheme, Scope};
pub use account_change::{AccountChange, AccountSettings};
pub use account_check::{AccountError, CredentialTerms};
pub use account_status::{AccountStatus, RevokedCredential};
pub use auxiliary::{Auxiliary, Rating, SystemHeader};
pub use client_network::client_network;
pub use cluster_name::{ClusterName, ClusterNameError};
pub use document_path::{DocumentPath, DocumentPathError};
pub use document_settings::{Apart, ApartRule, ApartRuleError, DocumentChange, DocumentSettings};
pub use ids::{AccountId, ContentId, IdError, Kid, NodeId, OperatorName, PolicyName, TrackName};
pub use key::{KeyOrigin, KeyPath, KeyRecord};
pub use key_kind::KeyKind;
pub use key_uri::{KeyUri, KeyUriError};
pub use network::{NetworkError, network, networks, optional_networks};
pub use operator::{Fingerprint, FingerprintError, Role, RoleError, SignInSecret};
pub use period::{Period, SeedId, SeedRecord};
pub use policy::{
    AnalogLevel, Aps, AudioLevel, CgmsA, ClearKeyProtection, CompressedVideoLevel, FairPlayHdcp,
    FairPlayProtection, Lease, PlayReadyProtection, PlayReadySecurityLevel, Policy, PolicyError,
    PolicyRecord, Protection, Renewal, UncompressedVideoLevel, WidevineHdcp, WidevineProtection,
    WidevineSecurityLevel,
};
pub use scheme::SchemeError;
pub use sha1_use::{Sha1Use, Sha1UseError};
pub use time_stamp::{TimeStamp, TimeStampError};
pub use viewer::ViewerPlace;
pub use wrapped::{MasterKeyId, MasterKeyVerifier, Wrapped};
