//! The errors that a caller of the cluster gets.

use std::time::Duration;

/// Why the cluster did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClusterError {
    /// No quorum answered before the deadline. A command may still be applied later.
    #[error("no quorum of the cluster answered within {} ms", .waited.as_millis())]
    NoQuorum {
        /// How long the request was held.
        waited: Duration,
    },
    /// A mailbox is full: this node is asked for more than it can do.
    #[error("the node is overloaded: the mailbox of its {actor} is full")]
    Busy { actor: &'static str },
    /// The leader has no room on its disk and no other node took over. Reads go on.
    #[error("the leader's disk is full, and no other node could take over")]
    DiskFull,
    /// The node is stopping, or has stopped after a fault that its log names.
    #[error("the node has stopped")]
    Stopped,
    /// The state could not be read.
    #[error("the state of this node cannot be read: {0}")]
    State(String),
    /// Something that cannot happen between nodes of the same version.
    #[error("a peer answered out of protocol: {0}")]
    Protocol(String),
    /// The request makes no sense to this cluster as it is.
    #[error("{0}")]
    Refused(String),
}

impl From<keymoot_state::StateError> for ClusterError {
    fn from(error: keymoot_state::StateError) -> Self {
        Self::State(error.to_string())
    }
}
