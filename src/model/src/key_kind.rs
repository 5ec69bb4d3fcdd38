//! What a key is for: one that licenses guard, or one that players get as it is.

use serde::{Deserialize, Serialize};

/// What a key is for. Keys of the two kinds must never be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyKind {
    /// Licenses of DRM systems carry it.
    Protected,
    /// Players get it as it is, for HLS AES-128: no DRM system may protect anything with it.
    Clear,
}
