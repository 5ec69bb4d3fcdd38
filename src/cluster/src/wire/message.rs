//! The messages between peers. Variants and fields are append-only within a protocol version.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use keymoot_crypto::PeerVersion;
use keymoot_model::NodeId;
use keymoot_state::Response;
use keymoot_store::{LogPosition, StoredVote};

use crate::wire::admin::{AdminRequest, AdminResponse};
use crate::wire::audit::{ConsistencyReply, ConsistencyRequest};
use crate::wire::fitness::Fitness;
use crate::wire::join::{JoinReply, JoinRequest};
use crate::wire::membership_change::{ChangePlan, ChangeRequest};
use crate::wire::raft_codec::{AppliedMark, WireEntry};
use crate::wire::report::NodeReport;

/// The protocol version; nodes with another one are refused at the greeting.
pub const PROTOCOL: u32 = 1;

/// The sender's identity: the first message in both directions. The certificate proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The sender's [`PROTOCOL`].
    pub protocol: u32,
    /// The name of the sender's cluster.
    pub cluster: String,
    /// Its id; `None` for an operator's tool.
    pub node: Option<NodeId>,
    /// The fence of its data directory; `None` for a tool, which may only administer.
    pub fence: Option<u64>,
    /// The feature level of the cluster in the sender's state; 0 when it has no state yet.
    pub feature_level: u32,
    /// In an answer: the cluster has removed the greeted node for ever.
    pub removed: bool,
}

/// The stream id of appends outside any stream.
pub(crate) const NO_STREAM: u64 = 0;

/// A request to a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Raft AppendEntries, one of an ordered stream.
    Append {
        /// Distinguishes the streams of one connection: a new one begins after each failure.
        /// [`NO_STREAM`] is not ordered with others.
        stream: u64,
        vote: StoredVote,
        /// The entry before these.
        previous: Option<LogPosition>,
        entries: Vec<WireEntry>,
        /// The position up to which the sender's log is committed.
        commit: Option<LogPosition>,
    },
    /// Raft RequestVote, or a pre-vote.
    Vote {
        /// Ask whether the vote would be granted, without granting it.
        pre_vote: bool,
        vote: StoredVote,
        last: Option<LogPosition>,
        /// The leader asked the sender to take over.
        transfer: bool,
    },
    /// Stand for election and lead.
    TransferLeader {
        from: StoredVote,
        /// The target of the transfer.
        to: NodeId,
        last: Option<LogPosition>,
    },
    /// A snapshot begins; its chunks follow on the same connection.
    SnapshotBegin {
        vote: StoredVote,
        /// The applied position of the snapshot, with its members.
        mark: AppliedMark,
    },
    /// The next bytes of the snapshot.
    SnapshotChunk(Bytes),
    /// The snapshot is complete: verify and install it.
    SnapshotEnd,
    /// Apply an encoded proposal; only the leader does.
    Propose(Bytes),
    /// The index a read must wait for; only the leader knows.
    ReadIndex,
    Admin(AdminRequest),
    /// Begin a backup of the applied state; its pieces are requested on the same connection.
    BackupBegin {
        /// Use this node's state, without a read barrier.
        local: bool,
    },
    BackupNext,
    /// Plan or make a membership change; only the leader does.
    ChangeMembers(ChangeRequest),
    /// Check that the receiver answers.
    Ping,
    /// A node with a certificate that was issued by hand asks to join.
    Join(Box<JoinRequest>),
    /// Does the receiver still support this vote?
    Supports(StoredVote),
    /// The same as ReadIndex, from a node that supports this vote: the leader may need no other
    /// vote.
    ReadIndexOf(StoredVote),
    /// Could the receiver lead? Only for a peer of [`PeerVersion::Second`] or later.
    FitnessToLead,
    /// What the sender reports of itself; the answer is the receiver's report. Only for a peer of
    /// [`PeerVersion::Third`].
    Report(Box<NodeReport>),
    /// Prove that the receiver's audit log only grew. Only for a peer of [`PeerVersion::Fourth`].
    AuditConsistency(ConsistencyRequest),
}

impl Request {
    /// The label of the refusal metric, if the request needs proof of a master key. Of a forwarded
    /// proposal each command is checked by itself.
    pub(crate) const fn proof_needed_for(&self) -> Option<&'static str> {
        match self {
            Self::Admin(_) | Self::BackupBegin { .. } | Self::BackupNext => Some("administration"),
            Self::Join(_) => Some("join"),
            Self::ChangeMembers(_) => Some("change"),
            Self::Append { .. }
            | Self::Vote { .. }
            | Self::TransferLeader { .. }
            | Self::SnapshotBegin { .. }
            | Self::SnapshotChunk(_)
            | Self::SnapshotEnd
            | Self::Propose(_)
            | Self::ReadIndex
            | Self::ReadIndexOf(_)
            | Self::Supports(_)
            | Self::Ping
            | Self::FitnessToLead
            | Self::Report(_)
            | Self::AuditConsistency(_) => None,
        }
    }

    /// Whether it is one of Raft's own, by which a node that is behind gets on.
    pub(crate) const fn is_of_raft(&self) -> bool {
        matches!(
            self,
            Self::Append { .. }
                | Self::Vote { .. }
                | Self::TransferLeader { .. }
                | Self::SnapshotBegin { .. }
                | Self::SnapshotChunk(_)
                | Self::SnapshotEnd
                | Self::Supports(_)
                | Self::Ping
        )
    }

    /// Whether a witness may send it: what Raft needs, and what the witness says of itself.
    pub(crate) const fn is_of_witness(&self) -> bool {
        self.is_of_raft()
            || matches!(
                self,
                Self::Propose(_) | Self::FitnessToLead | Self::Report(_) | Self::AuditConsistency(_)
            )
    }

    /// Whether a witness answers it. The rest needs a master key, or is of no use there.
    pub(crate) const fn is_for_witness(&self) -> bool {
        match self {
            Self::Admin(
                AdminRequest::Status
                | AdminRequest::Complaints
                | AdminRequest::Notices
                | AdminRequest::AuditLog
                | AdminRequest::AuditSearch(_)
                | AdminRequest::AuditEvents(_)
                | AdminRequest::AuditReceivers { .. },
            ) => true,
            Self::Admin(_) | Self::BackupBegin { .. } | Self::BackupNext | Self::Join(_) => false,
            Self::Append { .. }
            | Self::Vote { .. }
            | Self::TransferLeader { .. }
            | Self::SnapshotBegin { .. }
            | Self::SnapshotChunk(_)
            | Self::SnapshotEnd
            | Self::Propose(_)
            | Self::ReadIndex
            | Self::ReadIndexOf(_)
            | Self::Supports(_)
            | Self::ChangeMembers(_)
            | Self::Ping
            | Self::FitnessToLead
            | Self::Report(_)
            | Self::AuditConsistency(_) => true,
        }
    }

    /// Whether an operator's tool, which is no member of the cluster, may send it.
    pub(crate) const fn is_administration(&self) -> bool {
        matches!(self, Self::Admin(_) | Self::BackupBegin { .. } | Self::BackupNext | Self::Join(_))
    }

    /// Whether a peer of this protocol version can read it.
    pub(crate) fn is_known_to(&self, version: PeerVersion) -> bool {
        match self {
            Self::FitnessToLead => version >= PeerVersion::Second,
            Self::Report(_) | Self::Admin(AdminRequest::Complaints) => version >= PeerVersion::Third,
            Self::Admin(
                AdminRequest::Notices
                | AdminRequest::NodeKeys
                | AdminRequest::RenewCertificate
                | AdminRequest::Authority { .. }
                | AdminRequest::EnrolOperator(_)
                | AdminRequest::RevokeCertificate { .. }
                | AdminRequest::CancelAuthority
                | AdminRequest::WitnessTokens
                | AdminRequest::Verifiers
                | AdminRequest::Witnesses
                | AdminRequest::AuditLog
                | AdminRequest::AuditLogs
                | AdminRequest::AuditSearch(_)
                | AdminRequest::AuditEvents(_)
                | AdminRequest::AuditReceivers { .. },
            )
            | Self::AuditConsistency(_) => version >= PeerVersion::Fourth,
            _ => true,
        }
    }
}

/// The response to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Appended(AppendOutcome),
    Voted {
        vote: StoredVote,
        /// Whether the vote was granted.
        granted: bool,
        /// The position of the last entry in the voter's log.
        last: Option<LogPosition>,
    },
    /// To TransferLeader: whether it is accepted.
    Transferred(bool),
    /// To SnapshotBegin and SnapshotChunk.
    SnapshotReceived,
    SnapshotInstalled {
        vote: StoredVote,
    },
    Applied(Vec<Response>),
    /// To ReadIndex and ReadIndexOf.
    ReadIndex {
        index: u64,
    },
    /// To Propose, ReadIndex and ReadIndexOf, from a node that does not lead.
    NotLeader,
    Admin(AdminResponse),
    /// The request failed; the text is for the log.
    Failed(String),
    /// To BackupBegin: the bytes that precede the snapshot in a backup file.
    BackupBegun(Bytes),
    /// To BackupNext: the next bytes of the file; `None` after the last.
    BackupPiece(Option<Bytes>),
    /// To ChangeMembers: the plan, carried out unless it was a dry run.
    Planned(Box<ChangePlan>),
    Pong,
    Joined(Box<JoinReply>),
    /// To anything, from a cluster that has removed the requesting node.
    Removed,
    /// To Propose, from a leader whose disk is nearly full.
    DiskFull,
    Supports(bool),
    FitnessToLead(Fitness),
    /// To Report.
    Report(Box<NodeReport>),
    /// To Propose, from a leader that tells where in the log it is: to a peer of [`PeerVersion::Fourth`] in place of
    /// Applied.
    AppliedAt {
        index: u64,
        responses: Vec<Response>,
    },
    AuditConsistency(ConsistencyReply),
}

/// The outcome of an Append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AppendOutcome {
    /// The entries up to here are stored.
    Stored(Option<LogPosition>),
    /// The receiver does not have the entry before these.
    Conflict(LogPosition),
    /// The receiver knows a newer vote.
    HigherVote(StoredVote),
    /// The stream had ended before this message came.
    Stale,
}
