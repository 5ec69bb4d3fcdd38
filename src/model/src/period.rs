//! Crypto periods: the stretches of a live stream that each have a key of their own.
//!
//! The scrambler chooses the length of a period and counts periods from any start; the server only does
//! arithmetic. The keys of all periods of one length follow from one stored seed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{KeyPath, Wrapped};

/// One crypto period of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    /// The length of each period; 0 when the scrambler does not state it.
    pub length_s: u32,
    /// The number of the period, as the scrambler counts.
    pub index: u32,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "period {} of {} s", self.index, self.length_s)
    }
}

/// The numbers that identify a seed. Together with a period's index they are small enough to be encrypted
/// into the id of a derived key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeedId {
    /// The content's number in the cluster, below 2^48. Never used twice.
    pub content: u64,
    /// The track's version that this seed is.
    pub version: u16,
    /// The track's number within its content.
    pub track: u16,
}

impl SeedId {
    /// The most contents that a cluster can number.
    pub const CONTENTS_MAX: u64 = (1 << 48) - 1;
}

/// The seed of a rotating track: one version of it, from which the keys of all its periods follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedRecord {
    pub place: KeyPath,
    /// The numbers that the replicated state assigned.
    pub id: SeedId,
    /// The length of its periods; 0 when the scrambler does not state it.
    pub length_s: u32,
    /// The seed, wrapped.
    pub seed: Wrapped,
    /// Time of the proposal: milliseconds since 1970 UTC, by the proposer's clock.
    pub created_at_ms: u64,
}
