//! What an operator asks of a node, over the same mutually authenticated port as the peers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use keymoot_crypto::{ClusterName, Keyring};
use keymoot_model::{Account, AccountId, NodeId, Wrapped};
use keymoot_state::{Command, JoinTokenRecord, ListedPolicy, Response};

use super::change::{ChangePlan, ChangeRequest};
use super::join::{JoinReply, JoinRequest};
use super::link::Link;
use super::message::{Reply, Request};
use super::peers::{FatalSignal, Peers};
use super::proof;
use super::rewrap::{KeyringStatus, RewrapMark, Rewrapped};

/// How long an operator's tool waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

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

/// Why an operator's request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The node cannot be reached.
    #[error("{0}")]
    Link(#[from] super::link::LinkError),
    /// The node refused.
    #[error("{0}")]
    Refused(String),
    /// The node did not accept the proof of the master key; the text says what to do.
    #[error("{0}")]
    Unproven(String),
    /// The node's name is not valid.
    #[error("node {0} has no valid name in this cluster")]
    Name(NodeId),
}

impl AdminError {
    /// What a refusal with this reason is.
    pub(super) fn of(reason: String) -> Self {
        if reason.starts_with(proof::PROOF_REQUIRED) { Self::Unproven(reason) } else { Self::Refused(reason) }
    }
}

/// An operator's connection to a node.
pub struct AdminClient {
    link: Link,
}

impl AdminClient {
    /// Will connect to `node` at `address`; `identity` is who the certificate in `tls` names, and `keyring`
    /// holds what is proved to the node.
    ///
    /// # Errors
    /// When the cluster's name makes no valid certificate name.
    pub fn new(
        cluster: &ClusterName,
        identity: Option<NodeId>,
        tls: Arc<rustls::ClientConfig>,
        keyring: Arc<Keyring>,
        node: NodeId,
        address: &str,
    ) -> Result<Self, AdminError> {
        let peers =
            Peers::new(cluster, identity, None, tls, keyring, CONNECT_TIMEOUT, FatalSignal::default());
        peers.learn(node, address);
        let link = peers.requests(node).ok_or(AdminError::Name(node))?;
        Ok(Self { link })
    }

    pub(super) const fn link(&self) -> &Link {
        &self.link
    }

    /// Asks to join, with a certificate that was issued by hand.
    ///
    /// # Errors
    /// When the node cannot be reached in time.
    pub async fn join(&self, request: JoinRequest, timeout: Duration) -> Result<JoinReply, AdminError> {
        match self.link.call(Request::Join(Box::new(request)), timeout).await? {
            Reply::Joined(reply) => Ok(*reply),
            Reply::Failed(reason) => Err(AdminError::of(reason)),
            _ => Err(AdminError::Refused("the node answered another question".into())),
        }
    }

    /// Asks and waits.
    ///
    /// # Errors
    /// When the node cannot be reached in time or refuses.
    pub async fn ask(&self, request: AdminRequest, timeout: Duration) -> Result<AdminResponse, AdminError> {
        match self.link.call(Request::Admin(request), timeout).await? {
            Reply::Admin(AdminResponse::Refused(reason)) | Reply::Failed(reason) => {
                Err(AdminError::of(reason))
            }
            Reply::Admin(response) => Ok(response),
            _ => Err(AdminError::Refused("the node answered another question".into())),
        }
    }
}
