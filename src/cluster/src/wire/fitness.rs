//! A voter's fitness to lead, as it tells the leader.

use serde::{Deserialize, Serialize};

/// A node's answer to whether it could lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fitness {
    /// Whether its disk has room to write.
    pub has_room: bool,
    /// Whether no read of its tables has met damage.
    pub is_whole: bool,
    /// The end of its log.
    pub last_log_index: u64,
    /// How far its state is applied.
    pub applied_index: u64,
}
