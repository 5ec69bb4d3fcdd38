//! How a command reaches a node: over the peer port, with the certificate of the configured node.

use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Failure;
use crate::cluster::{AdminClient, AdminRequest, AdminResponse};
use crate::config::{Config, Loaded};
use crate::crypto::PeerIdentity;
use crate::crypto::tls::{PeerCredentials, peer_client_config};
use crate::model::NodeId;
use crate::state::{Command, Response};

/// How long a node may take to answer; longer than it waits for a quorum itself.
const TIMEOUT: Duration = Duration::from_secs(12);

/// An operator with the configuration and the certificate of one node.
pub struct Operator {
    /// That node's configuration.
    pub config: Config,
    credentials: PeerCredentials,
}

impl Operator {
    /// Reads configuration and certificate.
    pub fn new(file: Option<&Path>) -> Result<Self, Failure> {
        Self::of(Loaded::load(file).map_err(Failure::usage)?.config)
    }

    /// Reads the certificate that a configuration names.
    pub fn of(config: Config) -> Result<Self, Failure> {
        let cluster = &config.cluster;
        let credentials =
            PeerCredentials::load(&cluster.ca_file, &cluster.cert_file, &cluster.key_file, &cluster.name)
                .map_err(Failure::usage)?;
        Ok(Self { config, credentials })
    }

    /// What the configured node proves itself with.
    pub fn credentials(&self) -> &PeerCredentials {
        &self.credentials
    }

    /// Replicates a command through the configured node.
    pub async fn propose(&self, command: Command) -> Result<Response, Failure> {
        match self.ask(AdminRequest::Propose(Box::new(command))).await? {
            AdminResponse::Applied(response) => Ok(*response),
            _ => Err(unexpected()),
        }
    }

    /// Asks the configured node.
    pub async fn ask(&self, request: AdminRequest) -> Result<AdminResponse, Failure> {
        let address = self.config.cluster.peer_address().to_string();
        self.ask_node(self.config.node.id, &address, request).await.map_err(|failure| {
            failure.hint("does the node run? see its log, or ask with another node's --config")
        })
    }

    /// Asks any node.
    pub async fn ask_node(
        &self,
        node: NodeId,
        address: &str,
        request: AdminRequest,
    ) -> Result<AdminResponse, Failure> {
        let client = self.client(node, address)?;
        client.ask(request, TIMEOUT).await.map_err(|error| Failure::because(error.to_string()))
    }

    /// A connection to any node, which is made when it is first asked.
    pub fn client(&self, node: NodeId, address: &str) -> Result<AdminClient, Failure> {
        let identity = match self.credentials.identity() {
            PeerIdentity::Node(id) => Some(id),
            PeerIdentity::Operator => None,
        };
        let tls = peer_client_config(&self.credentials).map_err(Failure::usage)?;
        AdminClient::new(&self.config.cluster.name, identity, tls, node, address).map_err(Failure::usage)
    }
}

/// Runs a command's asking to its end.
pub fn block_on<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::runtime)?
        .block_on(asking)
}

/// A node answered, but not to what was asked.
pub fn unexpected() -> Failure {
    Failure::because("the node answered another question; does it run the same version?")
}

/// Prints what the caller asked for. A reader that went away, such as `head`, is no failure.
pub fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
