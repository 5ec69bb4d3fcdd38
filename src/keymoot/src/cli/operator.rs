//! How a command reaches a node: over the peer port, with the certificate and the keyring of the
//! configured node.

use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use crate::config::{Config, Loaded};
use keymoot_cluster::{ADMIN_DEADLINE, AdminClient, AdminError, AdminRequest, AdminResponse};
use keymoot_crypto::Keyring;
use keymoot_model::NodeId;
use keymoot_service::admin::{Operation, OperationError, OperationOutcome};
use keymoot_state::AccountRefusal;
use keymoot_tls::PeerIdentity;
use keymoot_tls::{PeerCredentials, peer_client_config};

/// How long a node may take to answer; longer than it waits for a quorum itself.
pub(super) const TIMEOUT: Duration = Duration::from_secs(12);
const _: () = assert!(TIMEOUT.as_millis() > ADMIN_DEADLINE.as_millis());

/// An operator with the configuration, the certificate and the keyring of one node.
pub(super) struct Operator {
    /// That node's configuration.
    pub config: Config,
    credentials: PeerCredentials,
    keyring: Arc<Keyring>,
}

impl Operator {
    /// Reads configuration, certificate and keyring.
    pub(super) fn new(file: Option<&Path>) -> Result<Self, Failure> {
        let read = Self::of(Loaded::load(file).map_err(Failure::usage)?.config);
        read.map_err(|failure| match file {
            Some(_) => failure,
            None => failure.hint(
                "no configuration was given, so the defaults were tried: name that of one of the nodes with --config \
                 FILE or KEYMOOT_CONFIG",
            ),
        })
    }

    /// Reads the certificate and the keyring that a configuration names.
    pub(super) fn of(config: Config) -> Result<Self, Failure> {
        let cluster = &config.cluster;
        let credentials =
            PeerCredentials::load(&cluster.ca_file, &cluster.cert_file, &cluster.key_file, &cluster.name)
                .map_err(Failure::usage)?;
        let keyring = Keyring::load(&config.keys.keyring_file).map_err(|error| {
            Failure::usage(error).hint(
                "nodes answer holders of the cluster's master key only: keys.keyring_file must name a copy of \
                 the keyring that they use",
            )
        })?;
        Ok(Self { config, credentials, keyring: Arc::new(keyring) })
    }

    /// What the configured node proves itself with.
    pub(super) fn credentials(&self) -> &PeerCredentials {
        &self.credentials
    }

    /// The master keys of the configured node.
    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Has a use case done by the configured node.
    pub(super) async fn perform(&self, operation: Operation) -> Result<OperationOutcome, Failure> {
        let answer = self.ask(operation.request()).await?;
        operation.outcome(answer).map_err(undone)
    }

    /// Asks the configured node.
    pub(super) async fn ask(&self, request: AdminRequest) -> Result<AdminResponse, Failure> {
        let address = self.config.cluster.peer_address().to_string();
        let client = self.client(self.config.node.id, &address)?;
        client.ask(request, TIMEOUT).await.map_err(|error| {
            let failure = Failure::because(error.to_string());
            match error {
                AdminError::Unproven(_) => failure,
                AdminError::Refused(_) => {
                    failure.hint("see the node's log, or ask with another node's --config")
                }
                _ => failure.hint("does the node run? see its log, or ask with another node's --config"),
            }
        })
    }

    /// Asks any node.
    pub(super) async fn ask_node(
        &self,
        node: NodeId,
        address: &str,
        request: AdminRequest,
    ) -> Result<AdminResponse, Failure> {
        let client = self.client(node, address)?;
        client.ask(request, TIMEOUT).await.map_err(|error| Failure::because(error.to_string()))
    }

    /// A connection to any node, which is made when it is first asked.
    pub(super) fn client(&self, node: NodeId, address: &str) -> Result<AdminClient, Failure> {
        let identity = match self.credentials.identity() {
            PeerIdentity::Node(id) => Some(id),
            PeerIdentity::Operator => None,
        };
        let tls = peer_client_config(&self.credentials).map_err(Failure::usage)?;
        let (cluster, keyring) = (&self.config.cluster.name, self.keyring.clone());
        AdminClient::new(cluster, identity, tls, keyring, node, address).map_err(Failure::usage)
    }
}

/// Runs a command's asking to its end.
pub(super) fn block_on<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::runtime)?
        .block_on(asking)
}

/// What the operator can do about a use case that was not done.
fn undone(error: OperationError) -> Failure {
    let hint = match &error {
        OperationError::AccountExists { .. } => {
            "choose another name, or pass --if-absent to leave it as it is"
        }
        OperationError::NoAccount { .. } => "keymoot account list shows those there are",
        OperationError::Account { refusal, .. } => match refusal {
            AccountRefusal::NoCredential => "keymoot account credential list shows those there are",
            AccountRefusal::CredentialExists | AccountRefusal::CredentialRevoked => {
                "choose another name for it"
            }
            AccountRefusal::NoAccount | AccountRefusal::Revision { .. } => {
                "keymoot account list shows the accounts"
            }
        },
        OperationError::Revision { .. } => "if this file is the newer one, give it a higher revision",
        OperationError::NoNode { .. } => "keymoot cluster status shows those there are",
        OperationError::NoPolicy { .. } => "keymoot policy list shows those there are",
        OperationError::PolicyInUse(_) => "keymoot policy detach and keymoot policy default end its uses",
        _ => return Failure::runtime(error),
    };
    Failure::runtime(error).hint(hint)
}

/// A node answered, but not to what was asked.
pub(super) fn unexpected() -> Failure {
    Failure::runtime(OperationError::Unexpected)
}

/// Prints what the caller asked for. A reader that went away, such as `head`, is no failure.
pub(super) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
