//! A voter's fitness to lead, which it reports to the leader.

use serde::{Deserialize, Serialize};

/// A node's answer to the question whether it could lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fitness {
    /// Whether its disk has enough free space to write.
    pub has_room: bool,
    /// Whether no read of its tables has met damage.
    pub is_whole: bool,
    /// The index of the last entry in its log.
    pub last_log_index: u64,
    /// The index of the last applied entry.
    pub applied_index: u64,
}
