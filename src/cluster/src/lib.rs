//! The cluster: the only crate that uses openraft. It joins `state` to `store`.
//!
//! Owns the Raft node, the peer connections, the proposer (which batches commands), the read
//! barrier (which makes reads linearizable on any node), and the view of the applied state.
//!
//! Invariants: an acknowledged command is fsynced on a quorum; a read behind a barrier sees every
//! command acknowledged before the read began; secrets are unwrapped in the crypto crate only.

mod audit;
pub mod backup;
mod checkpoints;
mod cluster;
mod divergence;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod members;
mod node;
mod ops;
mod peer;
mod raft;
mod read;
pub mod recovery;
pub mod salvage;
mod server;
pub mod settings;
mod start;
mod wire;
mod write;

#[cfg(test)]
mod tests;
mod vote_ledger;

pub use cluster::Cluster;
pub use divergence::watch::UNDECIDED;
pub use error::ClusterError;
pub use keymoot_store::{
    Divergence, Identity, Incarnation, JOIN_ANEW, LogPosition, Rebuild, StoreError, table_files_max,
};
pub use members::authority::{AuthorityError, AuthorityPlan, NodeAuthority, fingerprint_of, open_authority};
pub use members::join_client::{JoinError, ask_to_join};
pub use members::leader_transfer::LeaderTransferError;
pub use members::placement::{advice, failures_survived};
pub use ops::admin::{ADMIN_DEADLINE, account_details};
pub use ops::admin_client::{AdminClient, AdminError};
pub use ops::credential_uses::UseRegistry;
pub use peer::fence::fenced_off;
pub use peer::proof::{Prover, Verifiers};
pub use raft::rebuild::RebuildError;
pub use raft::state_view::StateView;
pub use start::{StartError, silence};
pub use wire::admin::{
    AccountDetails, AdminRequest, AdminResponse, ClusterStatus, ContentsQuery, CredentialUses, DiskStatus,
    NodeStatus, PeerStatus,
};
pub use wire::audit::{
    AuditGap, AuditLogs, AuditMarkError, AuditPage, AuditPosition, AuditReceivers, AuditSearch, EndedHere,
    EventsPage, EventsQuery, FoundEvent, HeldLog, HeldLogs, KnownCheckpoint, KnownLog, KnownSize,
    NodeReceivers, ReceiverState, audit_mark, audit_positions,
};
pub use wire::authority::{AuthorityProgress, AuthorityStage};
pub use wire::join::{Admitted, JoinReply, JoinRequest, ProvenJoin};
pub use wire::membership_change::{Change, ChangePlan, ChangeRequest, MemberState, Verdict};
pub use wire::message::PROTOCOL;
pub use wire::operators::{
    CertificateWish, EnrolledCertificate, OPERATOR_CERTIFICATE_LIFE, OPERATOR_CERTIFICATE_LIFE_MAX,
    OperatorEnrolment,
};
pub use wire::raft_types::Member;
pub use wire::rewrap::{KeyringStatus, RewrapMark, Rewrapped};
pub use write::committed::Committed;
pub use write::disk::DiskState;
pub use write::log_index::noting_log_index;
