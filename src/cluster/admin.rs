//! What an operator asks of a node, over the same mutually authenticated port as the peers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crypto::ClusterName;
use crate::model::{Account, AccountId, NodeId, Wrapped};
use crate::state::{Command, ListedPolicy, Response};

use super::link::Link;
use super::message::{Reply, Request};
use super::peers::Peers;

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
    /// What is free on the disk of its data directory.
    pub disk_free_bytes: u64,
    /// The size of that disk.
    pub disk_total_bytes: u64,
    /// Whether it writes nothing, because too little is free.
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
}

/// Why an operator's request got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The node cannot be reached.
    #[error("{0}")]
    Link(#[from] super::link::LinkError),
    /// The node refused.
    #[error("{0}")]
    Refused(String),
    /// The node's name is not valid.
    #[error("node {0} has no valid name in this cluster")]
    Name(NodeId),
}

/// An operator's connection to a node.
pub struct AdminClient {
    link: Link,
}

impl AdminClient {
    /// Will connect to `node` at `address`; `identity` is who the certificate in `tls` names.
    ///
    /// # Errors
    /// When the cluster's name makes no valid certificate name.
    pub fn new(
        cluster: &ClusterName,
        identity: Option<NodeId>,
        tls: Arc<rustls::ClientConfig>,
        node: NodeId,
        address: &str,
    ) -> Result<Self, AdminError> {
        let peers = Peers::new(cluster, identity, tls, CONNECT_TIMEOUT);
        peers.learn(node, address);
        let link = peers.requests(node).ok_or(AdminError::Name(node))?;
        Ok(Self { link })
    }

    /// Asks and waits.
    ///
    /// # Errors
    /// When the node cannot be reached in time or refuses.
    pub async fn ask(&self, request: AdminRequest, timeout: Duration) -> Result<AdminResponse, AdminError> {
        match self.link.call(Request::Admin(request), timeout).await? {
            Reply::Admin(AdminResponse::Refused(reason)) | Reply::Failed(reason) => {
                Err(AdminError::Refused(reason))
            }
            Reply::Admin(response) => Ok(response),
            _ => Err(AdminError::Refused("the node answered another question".into())),
        }
    }
}
