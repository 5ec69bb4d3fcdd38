//! Content keys as they are stored.

use serde::{Deserialize, Serialize};

use super::{AccountId, ContentId, Kid, Period, TrackName, Wrapped};

/// The account, content and track that a key belongs to. Wrapping binds the ciphertext to all three, so that
/// a wrapped key that was moved to another place does not open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyPath {
    pub account: AccountId,
    /// The content, unique in its account.
    pub content: ContentId,
    pub track: TrackName,
}

/// The origin of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOrigin {
    /// Keymoot, from the operating system's randomness.
    Generated,
    /// The scrambler, which supplied key and key id (uDRM 2.3.3 PUT).
    Supplied,
}

/// One version of a track's key. A version never changes; an override makes a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    pub place: KeyPath,
    /// 1 for the first key of a track, incremented by each override. Never used twice.
    pub version: u32,
    /// The key id, unique in the cluster.
    pub kid: Kid,
    /// The key, wrapped.
    pub key: Wrapped,
    pub origin: KeyOrigin,
    /// Time of the proposal: milliseconds since 1970 UTC, by the proposer's clock.
    pub created_at_ms: u64,
    /// The one crypto period it was supplied for; `None` for a key that holds for the whole track.
    pub period: Option<Period>,
}
