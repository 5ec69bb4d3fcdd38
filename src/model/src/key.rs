//! Content keys as they are stored.

use serde::{Deserialize, Serialize};

use super::{AccountId, ContentId, Kid, Period, TrackName, Wrapped};

/// Where a key belongs. Wrapping binds the ciphertext to all of it, so that a wrapped key moved
/// to another place does not open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyPlace {
    /// The owner.
    pub account: AccountId,
    /// The content, unique in its account.
    pub content: ContentId,
    /// The track of the content.
    pub track: TrackName,
}

/// Who made a key.
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
    /// Where the key belongs.
    pub place: KeyPlace,
    /// 1 for the first key of a track, and one more for each override. Never used twice.
    pub version: u32,
    /// The key id, unique in the cluster.
    pub kid: Kid,
    /// The key, wrapped.
    pub key: Wrapped,
    /// Who made it.
    pub origin: KeyOrigin,
    /// When it was proposed: milliseconds since 1970 UTC, by the proposer's clock.
    pub created_at_ms: u64,
    /// The one crypto period it was supplied for; `None` for a key that holds for the whole track.
    pub period: Option<Period>,
}
