//! The errors that callers of the cluster get.

use std::time::Duration;

/// Why the cluster did not carry out a request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterError {
    /// No quorum answered before the deadline. A command may still be applied later.
    #[error("no quorum of the cluster answered within {} ms", .waited.as_millis())]
    NoQuorum {
        /// How long the request was held.
        waited: Duration,
    },
    /// This node lacks what a linearizable read must see, and did not get it in time.
    #[error("this node lacks {} log entries that a read must see ({applied} of {index} are applied); {}", .index.saturating_sub(*.applied), why(*.read_only))]
    Behind {
        /// The last entry that is applied here.
        applied: u64,
        /// The entry that the read must see.
        index: u64,
        /// The node stores nothing: its disk is nearly full.
        read_only: bool,
    },
    /// A mailbox is full: this node has more requests than it can handle.
    #[error("the node is overloaded: the mailbox of its {actor} is full")]
    Busy { actor: &'static str },
    /// The leader's disk is nearly full and no other node took over. Reads continue.
    #[error("the leader's disk is full, and no other node could take over")]
    DiskFull,
    /// The states of the nodes differ, and it is not decided which is right. The text names entry, digests
    /// and the way out.
    #[error("{0}")]
    Diverged(String),
    /// The node has not been in contact with a quorum for so long that it must assume that rights were taken away.
    #[error(
        "this node has been cut off from the quorum for {for_s} s, longer than auth.cut_off_grants_s allows: restore its \
         way to the other nodes, or raise the setting and restart it"
    )]
    CutOff { for_s: u64 },
    /// The node is stopping, or has stopped after a fault that its log describes.
    #[error("the node has stopped")]
    Stopped,
    /// The state could not be read.
    #[error("the state of this node cannot be read: {0}")]
    State(String),
    /// A message that nodes of the same version never send.
    #[error("a peer answered out of protocol: {0}")]
    Protocol(String),
    /// The request is not valid for the cluster in its present state.
    #[error("{0}")]
    Refused(String),
}

fn why(read_only: bool) -> &'static str {
    match read_only {
        true => {
            "it cannot store them, because its disk is nearly full: free some, or enlarge it: docs/disks.md"
        }
        false => "it is catching up",
    }
}

impl From<keymoot_state::StateError> for ClusterError {
    fn from(error: keymoot_state::StateError) -> Self {
        Self::State(error.to_string())
    }
}
