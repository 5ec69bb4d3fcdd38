//! An operator's connection to a node, over the same mutually authenticated port as the peers.

use std::sync::Arc;
use std::time::Duration;

use keymoot_crypto::Keyring;
use keymoot_model::ClusterName;
use keymoot_model::NodeId;

use crate::peer::known_keys::KnownKeys;
use crate::peer::link::{Link, LinkError};
use crate::peer::local_end::LocalEnd;
use crate::peer::peers::Peers;
use crate::peer::proof;
use crate::wire::admin::{AdminRequest, AdminResponse};
use crate::wire::join::{JoinReply, JoinRequest};
use crate::wire::message::{Reply, Request};

/// How long an operator's tool waits for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Why an operator's request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The node cannot be reached.
    #[error("{0}")]
    Link(LinkError),
    /// The node refused the request; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// The cluster removed the node whose certificate this is, so that it opens nothing any more; the text says
    /// what to do.
    #[error("{0}")]
    Removed(String),
    /// The node did not accept the proof of the master key, or proved none itself; the text says what to do.
    #[error("{0}")]
    Unproven(String),
    /// The node's name is not valid.
    #[error("node {0} has no valid name in this cluster")]
    Name(NodeId),
}

impl AdminError {
    /// The error of a refusal with this text.
    pub(crate) fn of(reason: String) -> Self {
        if reason.starts_with(proof::PROOF_REQUIRED) { Self::Unproven(reason) } else { Self::Refused(reason) }
    }
}

impl From<LinkError> for AdminError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Removed { .. } => Self::Removed(error.to_string()),
            LinkError::Unproven { .. } => Self::Unproven(error.to_string()),
            error => Self::Link(error),
        }
    }
}

/// An operator's connection to a node.
pub struct AdminClient {
    link: Link,
}

impl AdminClient {
    /// A client for `node` at `address`, which connects at the first request. `identity` is the one
    /// in the certificate in `tls`, and `keyring` holds the keys to prove to the node.
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
        Self::of(LocalEnd::of_tool(cluster.clone(), identity, keyring), tls, node, address)
    }

    /// The same for a node that is a witness, of which no proof of a master key is demanded: it has none.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn to_witness(
        cluster: &ClusterName,
        identity: Option<NodeId>,
        tls: Arc<rustls::ClientConfig>,
        keyring: Arc<Keyring>,
        node: NodeId,
        address: &str,
    ) -> Result<Self, AdminError> {
        let local = LocalEnd::of_tool(cluster.clone(), identity, keyring);
        Self::of(LocalEnd { keys: KnownKeys::of_witness(), ..local }, tls, node, address)
    }

    fn of(
        local: LocalEnd,
        tls: Arc<rustls::ClientConfig>,
        node: NodeId,
        address: &str,
    ) -> Result<Self, AdminError> {
        let peers = Peers::new(local, tls, CONNECT_TIMEOUT);
        peers.learn(node, address);
        let link = peers.requests(node).ok_or(AdminError::Name(node))?;
        Ok(Self { link })
    }

    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    /// Requests to join, with a certificate that was issued by hand.
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

    /// Sends a request and waits for the response.
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
