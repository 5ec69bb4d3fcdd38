//! Secrets and what protects them: master keys, wrapping, derivation, secret files.
//!
//! A plaintext secret leaves this crate only as a [`SecretBytes`] or a [`ContentKey`]: types without `Clone`,
//! `Serialize` or `Display`, with a redacted `Debug`, zeroized when dropped. Other crates store and send only
//! a [`keymoot_model::Wrapped`], whose associated data binds it to one place. All randomness comes from the
//! operating system, and a failing source is an error, never a fallback.

mod aes_signer;
mod backup_signature;
mod binding;
mod content_key;
mod document_key;
mod document_seed;
mod export;
mod join_token;
mod keyring;
pub mod keyring_edit;
mod keyring_file;
mod keyring_proof;
mod keyring_signature;
mod kid_key;
mod locked_page;
mod one_time_code;
mod password;
mod peer_channel;
mod period_seed;
mod random;
mod rewrapping;
mod secret;
pub mod secret_file;
mod seed;
mod stack;
pub mod toml_file;
mod wrapping;

pub use aes_signer::AesSigner;
pub use backup_signature::{BackupSigner, SIGNATURE_BYTES, SignatureFault, SignedBackup};
pub use content_key::{ContentKey, ContentKeyError};
pub use document_key::{DeliveredKey, DeliveryError, DocumentKey, KeyRecipient, WrappedDocumentKey};
pub use document_seed::{DocumentKeys, DocumentKids, DocumentSeed};
pub use export::{ExportKey, ExportRecipient, SealError, Sealed};
pub use join_token::{JoinSecret, JoinToken, JoinTokenError, token_id_of, token_id_text};
pub use keyring::{Keyring, UnwrapError, WRAPS_MAX, WrapError};
pub use keyring_file::KeyringFileError;
pub use keyring_proof::{Challenge, KeyringProof, ProofPurpose, ProofRefusal, ProofScope};
pub use keyring_signature::KeyringSignature;
pub use kid_key::{KidKey, KidPlace};
pub use one_time_code::{CODE_STEP_S, CodeSecret};
pub use password::{PASSWORD_CHARS, PasswordError, hash_password, is_password, verify_nothing};
pub use peer_channel::{PeerChannel, PeerVersion};
pub use period_seed::{PeriodKeys, PeriodSeed};
pub use random::{RandomError, random_bytes, random_kid};
pub use rewrapping::RewrapError;
pub use secret::SecretBytes;
pub use stack::{wiped_after, wiped_once_ready};
pub use wrapping::CredentialPlace;
