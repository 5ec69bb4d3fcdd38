//! The cluster: the only room that knows openraft. It joins `state` to `store`.
//!
//! Owns the Raft node, the peer connections, the proposer (which batches commands), the read
//! barrier (which makes reads linearizable on any node), and the view of the applied state.
//!
//! Invariants: an acknowledged command is fsynced on a quorum; a read behind a barrier sees every
//! command acknowledged before the barrier was asked for; nothing here opens a secret.

mod admin;
mod barrier;
mod error;
mod frame;
mod hand_over;
mod leader;
mod link;
mod log_storage;
mod message;
mod network;
mod node;
mod peer_server;
mod peers;
mod proposer;
mod snapshot_transfer;
mod start;
mod state_machine;
mod state_view;
mod types;
mod wire;

#[cfg(test)]
mod storage_suite_test;

pub use admin::{AdminClient, AdminRequest, AdminResponse, ClusterStatus, NodeStatus, PeerStatus};
pub use error::ClusterError;
pub use hand_over::HandOverError;
pub use node::Cluster;
pub use start::StartError;
pub use state_view::StateView;
pub use types::Member;
