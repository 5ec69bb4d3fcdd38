//! The messages between peers. Variants and fields are append-only within a protocol version.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use keymoot_crypto::PeerVersion;
use keymoot_model::NodeId;
use keymoot_state::Response;
use keymoot_store::{LogPosition, StoredVote};

use crate::wire::admin::{AdminRequest, AdminResponse};
use crate::wire::fitness::Fitness;
use crate::wire::join::{JoinReply, JoinRequest};
use crate::wire::membership_change::{ChangePlan, ChangeRequest};
use crate::wire::raft_codec::{AppliedMark, WireEntry};

/// The protocol spoken; nodes of another one are refused at the greeting.
pub const PROTOCOL: u32 = 1;

/// The sender, first on a connection and in both directions. The certificate proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The sender's [`PROTOCOL`].
    pub protocol: u32,
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its id; `None` for an operator's tool.
    pub node: Option<NodeId>,
    /// The fence of its data directory; `None` for a tool, which may only administer.
    pub fence: Option<u64>,
    /// The feature level of the cluster as the sender's state has it; 0 when it has no state yet.
    pub feature_level: u32,
    /// In an answer: the cluster removed the node that is greeted, for ever.
    pub removed: bool,
}

/// The stream of appends that belong to none.
pub(crate) const NO_STREAM: u64 = 0;

/// A request to a peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Raft AppendEntries, one of an ordered stream.
    Append {
        /// Tells the streams of one connection apart: a new one begins after each failure. [`NO_STREAM`]
        /// is not ordered with others.
        stream: u64,
        vote: StoredVote,
        /// The entry before these.
        previous: Option<LogPosition>,
        entries: Vec<WireEntry>,
        /// How far the sender's log is committed.
        commit: Option<LogPosition>,
    },
    /// Raft RequestVote, or a pre-vote.
    Vote {
        /// Ask whether the vote would be given, without giving it.
        pre_vote: bool,
        vote: StoredVote,
        last: Option<LogPosition>,
        /// The leader asked the sender to take over.
        transfer: bool,
    },
    /// Take over the leadership.
    TransferLeader {
        from: StoredVote,
        /// The node that takes over.
        to: NodeId,
        last: Option<LogPosition>,
    },
    /// A snapshot begins; its chunks follow on the same connection.
    SnapshotBegin {
        vote: StoredVote,
        /// What the snapshot holds.
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
    /// Begin a backup of the applied state; its pieces are asked for on the same connection.
    BackupBegin {
        /// Take what this node has, without asking a quorum whether it is all.
        local: bool,
    },
    BackupNext,
    /// Plan or make a change of the members; only the leader does.
    ChangeMembers(ChangeRequest),
    /// Are you there?
    Ping,
    /// A node with a certificate that was issued by hand wants in.
    Join(Box<JoinRequest>),
    /// Does the receiver still support this vote?
    Supports(StoredVote),
    /// The same as ReadIndex, from a node that supports this vote: the leader may need nobody else's.
    ReadIndexOf(StoredVote),
    /// Could the receiver lead? Only for a peer of [`PeerVersion::Second`].
    FitnessToLead,
}

impl Request {
    /// Whether only who proved a master key may ask it, and as what its refusals are counted. Of a forwarded
    /// proposal each command is judged by itself.
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
            | Self::FitnessToLead => None,
        }
    }

    /// Whether an operator's tool may ask it, which is no member of the cluster.
    pub(crate) const fn is_administration(&self) -> bool {
        matches!(self, Self::Admin(_) | Self::BackupBegin { .. } | Self::BackupNext | Self::Join(_))
    }

    /// Whether a peer that speaks this version can read it.
    pub(crate) const fn is_known_to(&self, version: PeerVersion) -> bool {
        matches!(version, PeerVersion::Second) || !matches!(self, Self::FitnessToLead)
    }
}

/// The answer to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Appended(AppendOutcome),
    Voted {
        vote: StoredVote,
        /// Whether it was given.
        granted: bool,
        /// The end of the voter's log.
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
    /// To BackupBegin: what stands before the snapshot in a backup file.
    BackupBegun(Bytes),
    /// To BackupNext: the next bytes of the file; none behind the last.
    BackupPiece(Option<Bytes>),
    /// To ChangeMembers: what was planned, and made if the request says so.
    Planned(Box<ChangePlan>),
    Pong,
    Joined(Box<JoinReply>),
    /// To anything, from a cluster that removed the asking node.
    Removed,
    /// To Propose, from a leader without room on its disk.
    DiskFull,
    Supports(bool),
    FitnessToLead(Fitness),
}

/// Outcome of an Append.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AppendOutcome {
    /// Stored up to here.
    Stored(Option<LogPosition>),
    /// The receiver has no such entry before these.
    Conflict(LogPosition),
    /// The receiver knows a newer vote.
    HigherVote(StoredVote),
    /// The stream had ended before this message came.
    Stale,
}
