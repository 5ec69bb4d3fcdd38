//! Whose log it is.

use std::fmt;

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
        origin(self.cluster.as_str(), self.node, format_args!("{log_id:016x}"))
    }
}

/// Between a cluster's name and a node's id in an origin.
const AUDIT: &str = ".keymoot.audit/";

/// The origin of a node's log, as it stands in checkpoints.
pub fn origin(cluster: &str, node: NodeId, log: impl fmt::Display) -> String {
    format!("{cluster}{AUDIT}{node}/{log}")
}

/// The cluster, the node and the log that an origin names.
pub fn parse_origin(origin: &str) -> Option<(&str, NodeId, &str)> {
    let (cluster, rest) = origin.split_once(AUDIT)?;
    let (node, log) = rest.split_once('/')?;
    Some((cluster, node.parse().ok()?, log))
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

impl Predecessor {
    /// What the event says with which the log of this origin names it.
    pub fn named_by(&self, origin: &str) -> String {
        format!("log={origin} before={} size={} root={}", self.origin, self.size, self.root)
    }
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
