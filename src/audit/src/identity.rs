//! Whose log it is.

use keymoot_model::{ClusterName, NodeId};
use serde::{Deserialize, Serialize};

use crate::tree::Hash;

/// Whose log it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogIdentity {
    pub cluster: ClusterName,
    pub node: NodeId,
    /// The incarnation of the data directory, where it has one: with another one a new log begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
}

impl LogIdentity {
    /// The origin of the log with this id, as it stands in checkpoints.
    pub(crate) fn origin(&self, log_id: u64) -> String {
        format!("{}.keymoot.audit/{}/{log_id:016x}", self.cluster, self.node)
    }
}

/// The log that this one goes on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predecessor {
    pub origin: String,
    /// How many events of it are there, and their root.
    pub size: u64,
    pub root: Hash,
    /// Why it ended.
    pub reason: String,
}

/// How much room a log takes, and for how long that will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub bytes: u64,
    pub budget_bytes: u64,
    pub events: u64,
    pub first_kept: u64,
    /// The time of the oldest event that is kept, in milliseconds since 1970 UTC; 0 without one.
    pub oldest_ms: u64,
    /// In how many days the budget, or the disk, is full at the rate of the last days; `None` when that is after the
    /// oldest events may be deleted.
    pub days_left: Option<f64>,
}
