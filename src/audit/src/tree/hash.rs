//! Hashes of leaves and nodes.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A SHA-256 hash of the tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

/// The text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 32 bytes in base64, 44 characters")]
pub struct HashTextError;

impl Hash {
    /// Its length in bytes.
    pub const BYTES: usize = 32;

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashTextError;
    fn from_str(text: &str) -> Result<Self, HashTextError> {
        let bytes = STANDARD.decode(text).map_err(|_| HashTextError)?;
        Ok(Self(bytes.try_into().map_err(|_| HashTextError)?))
    }
}

impl TryFrom<String> for Hash {
    type Error = HashTextError;
    fn try_from(text: String) -> Result<Self, HashTextError> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// The hash of an event as it is on disk.
pub fn leaf_hash(event: &[u8]) -> Hash {
    hash_of(&[&[0], event])
}

/// The hash of a node above two others.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hash_of(&[&[1], &left.0, &right.0])
}

/// The root of a tree without leaves.
pub(super) fn empty_root() -> Hash {
    hash_of(&[])
}

fn hash_of(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    // A SHA-256 digest has 32 bytes.
    bytes.copy_from_slice(context.finish().as_ref());
    Hash(bytes)
}
