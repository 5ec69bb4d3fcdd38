//! How a command reaches a node: over the admin API with an operator's credential; without one, over the peer
//! port, with the certificate and the keyring of the configured node.

mod accounts;

use std::collections::BTreeSet;
use std::future::Future;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Failure;
use super::admin_api::{AdminApi, Refusal};
use super::args::ConfigArg;
use crate::config::{Config, Loaded};
use keymoot_cluster::{ADMIN_DEADLINE, AdminClient, AdminError, AdminRequest, AdminResponse, ClusterStatus};
use keymoot_crypto::Keyring;
use keymoot_model::{ClusterName, MasterKeyId, NodeId};
use keymoot_service::admin::{
    ApprovalCall, Call, Operation, OperationError, OperationOutcome, UseCase, from_json,
};
use keymoot_tls::PeerIdentity;
use keymoot_tls::{PeerCredentials, peer_client_config};

/// How long a node may take to answer; longer than it waits for a quorum itself.
pub(super) const TIMEOUT: Duration = Duration::from_secs(12);
const _: () = assert!(TIMEOUT.as_millis() > ADMIN_DEADLINE.as_millis());

/// Who asks, and how: as an operator over the admin API, or over the peer port by a proof of the keyring.
pub(super) struct Operator {
    /// The configuration of the node that is asked; from afar the defaults, with the cluster's name.
    pub config: Config,
    /// What the configured node has to prove itself with; from afar nothing.
    proof: Option<KeyringProof>,
    api: Option<AdminApi>,
    /// Whether the credential was named on the command line: then nothing else is tried.
    is_chosen: bool,
}

/// The certificate and the keyring of one node.
struct KeyringProof {
    credentials: PeerCredentials,
    keyring: Arc<Keyring>,
}

impl KeyringProof {
    fn load(config: &Config) -> Result<Self, Failure> {
        let cluster = &config.cluster;
        if config.node.witness {
            return Err(Failure::misuse("this is the configuration of a witness, which has no keyring to prove").hint(
                "ask with another node's --config, or from afar with --operator FILE and --admin ID=HOST:PORT",
            ));
        }
        let credentials =
            PeerCredentials::load(&cluster.ca_file, &cluster.cert_file, &cluster.key_file, &cluster.name)
                .map_err(Failure::usage)?;
        let keyring = Keyring::load(&config.keys.keyring_file).map_err(|error| {
            Failure::usage(error).hint(
                "nodes answer holders of the cluster's master key only: keys.keyring_file must name a copy of \
                 the keyring that they use",
            )
        })?;
        Ok(Self { credentials, keyring: Arc::new(keyring) })
    }
}

impl Operator {
    /// The operator whom the arguments or the configuration name; where neither does, whoever holds the keyring
    /// of the configured node.
    pub(super) fn new(who: &ConfigArg) -> Result<Self, Failure> {
        if who.admin.is_some() {
            let (api, _) = who.api()?;
            let mut config = Config::default();
            config.cluster.name = api.credential.cluster.clone();
            return Ok(Self { config, proof: None, api: Some(api), is_chosen: true });
        }
        let config = Loaded::load(who.config.as_deref()).map_err(Failure::usage)?.config;
        let admin = &config.admin;
        let configured =
            admin.listen.is_some() && admin.credential_file.as_ref().is_some_and(|file| file.exists());
        if who.operator.is_none() && !configured {
            return Self::by_keyring(who.config.as_deref());
        }
        let (api, _) = who.api()?;
        let proof = KeyringProof::load(&config).ok();
        Ok(Self { config, proof, api: Some(api), is_chosen: who.operator.is_some() })
    }

    /// Whoever holds the certificate and the keyring of one node.
    pub(super) fn by_keyring(file: Option<&Path>) -> Result<Self, Failure> {
        let read = Self::of(Loaded::load(file).map_err(Failure::usage)?.config);
        read.map_err(|failure| match file {
            Some(_) => failure,
            None => failure.hint(
                "no configuration was given, so the defaults were tried: name that of one of the nodes with --config \
                 FILE or KEYMOOT_CONFIG",
            ),
        })
    }

    /// The same, of a configuration that was read.
    pub(super) fn of(config: Config) -> Result<Self, Failure> {
        let proof = Some(KeyringProof::load(&config)?);
        Ok(Self { config, proof, api: None, is_chosen: false })
    }

    /// SHA-256 of the certificate of the cluster's authority.
    pub(super) fn authority_fingerprint(&self) -> Option<[u8; 32]> {
        match (&self.proof, &self.api) {
            (Some(proof), _) => proof.credentials.authority_fingerprint(),
            (None, Some(api)) => Some(api.credential.authority_fingerprint()),
            (None, None) => None,
        }
    }

    /// The master keys of the configured node, which a command from afar does without.
    /// The keyring of the configured node, if it can be read.
    pub(super) fn keyring(&self) -> Option<&Keyring> {
        self.own_keyring().ok()
    }

    fn own_keyring(&self) -> Result<&Keyring, Failure> {
        self.proof.as_ref().map(|proof| &*proof.keyring).ok_or_else(unproved)
    }

    /// Where the peers of the node that is asked reach it: as it is configured, from afar as the cluster knows it.
    pub(super) fn peer_address(&self, status: &ClusterStatus) -> String {
        if self.proof.is_some() {
            return self.config.cluster.peer_address().to_string();
        }
        let own = status.members.iter().find(|member| member.id == status.node.id);
        own.map(|own| own.peer_address.clone()).unwrap_or_default()
    }

    /// The same, where the status is not known yet.
    pub(super) async fn member_address(&self) -> Result<String, Failure> {
        if self.proof.is_some() {
            return Ok(self.config.cluster.peer_address().to_string());
        }
        let AdminResponse::Status(status) = self.ask(AdminRequest::Status).await? else {
            return Err(unexpected());
        };
        Ok(self.peer_address(&status))
    }

    /// Has a use case done.
    pub(super) async fn perform(&self, operation: Operation) -> Result<OperationOutcome, Failure> {
        match self.over_api(&Call::Operation(operation.clone())).await? {
            Some(done) => read(done),
            None => self.perform_by_keyring(operation).await,
        }
    }

    async fn perform_by_keyring(&self, operation: Operation) -> Result<OperationOutcome, Failure> {
        let answer = self.ask_by_keyring(operation.request()).await?;
        operation.outcome(answer).map_err(undone)
    }

    /// Asks the node.
    pub(super) async fn ask(&self, request: AdminRequest) -> Result<AdminResponse, Failure> {
        let Some(case) = UseCase::of_request(&request) else { return self.ask_by_keyring(request).await };
        match self.over_api(&Call::Request(request.clone())).await? {
            Some(answer) => from_json(case, answer).ok_or_else(unexpected),
            None => self.ask_by_keyring(request).await,
        }
    }

    /// Asks over the admin API. `None`: there is no credential, or the configured one is of no use here and the
    /// keyring remains.
    async fn over_api(&self, call: &Call) -> Result<Option<Value>, Failure> {
        let Some(api) = &self.api else { return Ok(None) };
        match api.try_call(call).await {
            Ok(answer) => Ok(Some(answer)),
            Err(Refusal::Unreached(_)) if self.may_prove_keyring() => Ok(None),
            Err(Refusal::Unknown(failure)) if self.may_prove_keyring() => {
                eprintln!("keymoot: warning: {}; the keyring is proved instead", failure.message());
                Ok(None)
            }
            Err(refusal) => Err(refusal.into_failure()),
        }
    }

    /// Has the cluster permit that a master key is removed from the nodes' files, which may take two persons.
    pub(super) async fn permit_key_removal(&self, id: &MasterKeyId) -> Result<(), Failure> {
        let call = ApprovalCall::PermitKeyRemoval { id: id.0.clone() };
        if self.over_api(&Call::Approval(call)).await?.is_some() {
            return Ok(());
        }
        match self.ask_by_keyring(AdminRequest::KeyRemoval(id.0.clone())).await? {
            AdminResponse::KeyRemovalPermitted => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// Whether the keyring remains where the credential is of no use.
    fn may_prove_keyring(&self) -> bool {
        !self.is_chosen && self.proof.is_some()
    }

    async fn ask_by_keyring(&self, request: AdminRequest) -> Result<AdminResponse, Failure> {
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

    /// Asks any node: from afar through the one that is asked.
    pub(super) async fn ask_node(
        &self,
        node: NodeId,
        address: &str,
        request: AdminRequest,
    ) -> Result<AdminResponse, Failure> {
        if let (None, Some(api), Some(case)) = (&self.proof, &self.api, UseCase::of_request(&request)) {
            let answer = api.call(&Call::OfNode(node, request)).await?;
            return from_json(case, answer).ok_or_else(unexpected);
        }
        let client = self.client(node, address)?;
        client.ask(request, TIMEOUT).await.map_err(|error| Failure::because(error.to_string()))
    }

    /// Asks any node through the one that is asked: over the admin API, or by that node's own address as the cluster
    /// knows it.
    pub(super) async fn ask_through(
        &self,
        node: NodeId,
        request: AdminRequest,
    ) -> Result<AdminResponse, Failure> {
        if let Some(case) = UseCase::of_request(&request)
            && let Some(answer) = self.over_api(&Call::OfNode(node, request.clone())).await?
        {
            return from_json(case, answer).ok_or_else(unexpected);
        }
        let AdminResponse::Status(status) = self.ask_by_keyring(AdminRequest::Status).await? else {
            return Err(unexpected());
        };
        let unknown = || Failure::because(format!("node {node} is no member of the cluster"));
        let member = status.members.iter().find(|member| member.id == node).ok_or_else(unknown)?;
        let is_witness = self.witnesses().await.contains(&node);
        let client = self.client_of((node, is_witness), &member.peer_address)?;
        client.ask(request, TIMEOUT).await.map_err(|error| Failure::because(error.to_string()))
    }

    /// The members that the asked node knows to be witnesses; one of an earlier version knows of none.
    pub(super) async fn witnesses(&self) -> BTreeSet<NodeId> {
        match self.ask(AdminRequest::Witnesses).await {
            Ok(AdminResponse::Witnesses(witnesses)) => witnesses,
            _ => BTreeSet::new(),
        }
    }

    /// The same of a member, which may be a witness: that has no master key to prove.
    pub(super) async fn ask_member(
        &self,
        member: (NodeId, bool),
        address: &str,
        request: AdminRequest,
    ) -> Result<AdminResponse, Failure> {
        if self.proof.is_none() {
            return self.ask_node(member.0, address, request).await;
        }
        let client = self.client_of(member, address)?;
        client.ask(request, TIMEOUT).await.map_err(|error| Failure::because(error.to_string()))
    }

    /// A connection to a member, which may be a witness.
    pub(super) fn client_of(
        &self,
        (node, is_witness): (NodeId, bool),
        address: &str,
    ) -> Result<AdminClient, Failure> {
        self.connect(if is_witness { AdminClient::to_witness } else { AdminClient::new }, node, address)
    }

    /// A connection to the peer port of any node, which is made when it is first asked.
    pub(super) fn client(&self, node: NodeId, address: &str) -> Result<AdminClient, Failure> {
        self.connect(AdminClient::new, node, address)
    }

    fn connect(&self, make: MakeClient, node: NodeId, address: &str) -> Result<AdminClient, Failure> {
        let KeyringProof { credentials, keyring } = self.proof.as_ref().ok_or_else(unproved)?;
        let identity = match credentials.identity() {
            PeerIdentity::Node(id) => Some(id),
            PeerIdentity::Operator => None,
        };
        let tls = peer_client_config(credentials).map_err(Failure::usage)?;
        let cluster = &self.config.cluster.name;
        make(cluster, identity, tls, keyring.clone(), node, address).map_err(Failure::usage)
    }
}

type MakeClient = fn(
    &ClusterName,
    Option<NodeId>,
    Arc<rustls::ClientConfig>,
    Arc<Keyring>,
    NodeId,
    &str,
) -> Result<AdminClient, AdminError>;

/// What the admin API answered.
fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(Failure::runtime)
}

/// The admin API does not do it.
fn unproved() -> Failure {
    Failure::because("this is asked over the peer port, by a proof of the keyring")
        .hint("run it on a node, with its --config")
}

impl ConfigArg {
    /// The admin API that these arguments or the configuration name, and the credential's file.
    pub(super) fn api(&self) -> Result<(AdminApi, PathBuf), Failure> {
        if let (Some(admin), Some(file)) = (&self.admin, &self.operator) {
            return Ok((AdminApi::new(file, admin.id, admin.address.as_str())?, file.clone()));
        }
        let config = Loaded::load(self.config.as_deref()).map_err(Failure::usage)?.config;
        let file = self.operator.clone().or_else(|| config.admin.credential_file.clone()).ok_or_else(|| {
            Failure::misuse("no operator's credential is given").hint(
                "name one with --operator FILE or admin.credential_file; the first operator is made on a node: \
                 keymoot operator add NAME --role security --by-keyring --config FILE",
            )
        })?;
        let listen = config.admin.listen.ok_or_else(|| {
            Failure::misuse("admin.listen is not set, so this node listens to no operators").hint(
                "set it, such as listen = \"127.0.0.1:8444\" in [admin], and restart the node; or ask another one \
                 with --admin ID=HOST:PORT",
            )
        })?;
        Ok((AdminApi::new(&file, config.node.id, &reachable(listen).to_string())?, file))
    }
}

/// Where this machine reaches a listener of its own.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], listen.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, listen.port()))
        }
        _ => listen,
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
    match error.remedy() {
        Some(remedy) => Failure::runtime(error).hint(remedy),
        None => Failure::runtime(error),
    }
}

/// A node answered, but not to what was asked.
pub(super) fn unexpected() -> Failure {
    Failure::runtime(OperationError::Unexpected)
}

/// Prints what the caller asked for. A reader that went away, such as `head`, is no failure.
pub(super) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
