//! What an operator's tool asks of a node, and what it is answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use keymoot_model::{Account, AccountId, NodeId, Wrapped};
use keymoot_state::{Command, JoinTokenRecord, ListedPolicy, Response};

use crate::wire::membership_change::{ChangePlan, ChangeRequest};
use crate::wire::rewrap::{KeyringStatus, RewrapMark, Rewrapped};

/// A request of an operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminRequest {
    /// How this node sees itself and the cluster.
    Status,
    /// Begin a cluster of these members: id → peer address.
    Initialize(BTreeMap<NodeId, String>),
    /// Replicate a command.
    Propose(Box<Command>),
    /// All accounts, linearizable.
    Accounts,
    /// All policies of an account, linearizable.
    Policies(AccountId),
    /// The node's master keys.
    Keyring {
        /// Also count what stands under which, linearizable.
        count: bool,
    },
    /// Put the secrets of the next stretch of the state under the active master key.
    Rewrap(Option<RewrapMark>),
    /// Plan or make a change of the members, wherever the leader is.
    Change(ChangeRequest),
    /// All join tokens, linearizable.
    JoinTokens,
}

/// The answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum AdminResponse {
    /// To Status.
    Status(Box<ClusterStatus>),
    /// To Initialize: whether the cluster was begun now; `false` when it was before.
    Initialized(bool),
    /// To Propose.
    Applied(Box<Response>),
    /// To Accounts.
    Accounts(Vec<Account>),
    /// The request was refused or failed; the text says why and what to do.
    Refused(String),
    /// To Policies.
    Policies(Vec<ListedPolicy>),
    /// To Keyring.
    Keyring(Box<KeyringStatus>),
    /// To Rewrap.
    Rewrapped(Box<Rewrapped>),
    /// To Change.
    Planned(Box<ChangePlan>),
    /// To JoinTokens.
    JoinTokens(Vec<JoinTokenRecord>),
}

/// A node's view of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: String,
    /// The node that was asked.
    pub node: NodeStatus,
    /// The members, as this node knows them.
    pub members: Vec<PeerStatus>,
    /// The cluster's feature level; 0 while it is not founded.
    pub feature_level: u32,
    /// This node's clock, in milliseconds since 1970.
    pub clock_ms: u64,
    /// What the cluster's keyring opens, once the cluster has begun.
    pub keyring_check: Option<Wrapped>,
}

/// A node, as it sees itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its id.
    pub id: NodeId,
    /// `leader`, `follower`, `candidate`, `learner` or `shutdown`.
    pub role: String,
    /// The Raft term.
    pub term: u64,
    /// The leader it knows.
    pub leader: Option<NodeId>,
    /// The end of its log.
    pub last_log_index: u64,
    /// How far its state is applied.
    pub applied_index: u64,
    /// The end of the snapshot its log may be purged to.
    pub snapshot_index: u64,
    /// How far its log is purged.
    pub purged_index: u64,
    /// The digest of its state at `applied_index`.
    pub digest: String,
    /// The program's version.
    pub version: String,
    /// The fence of its data directory: 0, or a number since the cluster was recovered or restored.
    pub fence: u64,
    /// The peers it does not speak to, and why.
    pub refusals: BTreeMap<NodeId, String>,
    /// The highest feature level that the program knows.
    pub feature_level: u32,
    /// Its zone; empty when nobody said.
    pub zone: String,
    /// The disk of its data directory; none when it cannot be looked at.
    pub disk: Option<DiskStatus>,
    /// Until when its certificate is valid: seconds since 1970 UTC.
    pub certificate_expires_at_s: Option<i64>,
}

/// The disk that a node's data is on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskStatus {
    /// Its size.
    pub total_bytes: u64,
    /// What is free for the node.
    pub free_bytes: u64,
    /// What the node's data takes.
    pub data_bytes: u64,
    /// Whether the node writes nothing, because too little is free.
    pub read_only: bool,
}

/// A member, as another node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its id.
    pub id: NodeId,
    /// Where peers reach it.
    pub peer_address: String,
    /// Whether it votes.
    pub voter: bool,
    /// On the leader: the end of its log as last acknowledged.
    pub matched_index: Option<u64>,
    /// On the leader: how long ago it was last heard of, in milliseconds.
    pub last_contact_ms: Option<u64>,
    /// Its zone; empty when nobody said.
    pub zone: String,
    /// The version of its program as it said last.
    pub version: String,
}
