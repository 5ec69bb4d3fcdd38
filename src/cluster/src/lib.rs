//! The cluster: the only room that knows openraft. It joins `state` to `store`.
//!
//! Owns the Raft node, the peer connections, the proposer (which batches commands), the read
//! barrier (which makes reads linearizable on any node), and the view of the applied state.
//!
//! Invariants: an acknowledged command is fsynced on a quorum; a read behind a barrier sees every
//! command acknowledged before the barrier was asked for; a secret is opened in the crypto room only.

mod admin;
pub mod backup;
mod barrier;
mod batcher;
mod change;
mod command_rights;
mod damage;
mod disk;
mod error;
mod fence;
mod founding;
mod frame;
mod greeting;
mod join;
mod join_client;
mod join_server;
mod leader_client;
mod leader_transfer;
mod link;
mod log_check;
mod log_retention;
mod log_storage;
mod membership;
mod message;
mod monitor;
mod network;
mod node;
mod peer_server;
mod peers;
mod placement;
mod proof;
mod proposer;
mod rate_limit;
mod read_index;
mod rebuild;
mod reconciler;
pub mod recovery;
mod refusals;
mod rewrap;
pub mod settings;
mod snapshot_transfer;
mod start;
mod state_machine;
mod state_view;
mod transfer_target;
mod types;
mod vote_ledger;
mod wire;

#[cfg(test)]
mod tests;

pub use admin::{
    AdminClient, AdminError, AdminRequest, AdminResponse, ClusterStatus, DiskStatus, NodeStatus, PeerStatus,
};
pub use change::{Change, ChangePlan, ChangeRequest, MemberState, Verdict};
pub use disk::DiskState;
pub use error::ClusterError;
pub use fence::fenced_off;
pub use join::{Admitted, JoinReply, JoinRequest, ProvenJoin};
pub use join_client::{JoinError, ask_to_join};
pub use keymoot_store::{Identity, Incarnation, JOIN_ANEW, LogPosition, StoreError, table_files_max};
pub use leader_transfer::LeaderTransferError;
pub use message::PROTOCOL;
pub use node::Cluster;
pub use placement::{advice, failures_survived};
pub use rebuild::RebuildError;
pub use rewrap::{KeyringStatus, RewrapMark, Rewrapped};
pub use start::{StartError, silence};
pub use state_view::StateView;
pub use types::Member;
