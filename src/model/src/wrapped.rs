//! Wrapped secrets: log and disk hold a secret in this form only, never in the clear.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a master key in the keyring, as its file names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MasterKeyId(pub String);

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tells that somebody holds a master key, and opens nothing: a public key that is derived from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterKeyVerifier {
    pub master_key: MasterKeyId,
    /// An Ed25519 public key.
    pub public_key: [u8; 32],
}

/// A secret encrypted with AES-256-GCM under a master key, with associated data that binds it to its place.
/// Only the `crypto` crate makes and opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrapped {
    /// The master key that opens it.
    pub master_key: MasterKeyId,
    /// The GCM nonce, drawn for each wrapping.
    pub nonce: [u8; 12],
    /// The ciphertext, followed by the 16-byte tag.
    #[serde(with = "serde_bytes")]
    pub ciphertext: Vec<u8>,
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrapped(under {}, {} bytes)", self.master_key, self.ciphertext.len())
    }
}
