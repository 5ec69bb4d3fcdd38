//! `keymoot cluster join`: makes this machine a node of a running cluster.
//!
//! The private key is made here and stays here. Member and node prove to each other that they hold the
//! cluster's master key, and the keyring is tried on the cluster's check value, before the token is spent. Whatever is cut short can be repeated with the same directory: the
//! same key and token give the same id.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::node_files::{NodeArgs, NodeConfig, NodeDirectory};
use crate::cli::operator::{Operator, say};
use keymoot_cluster::settings::PeerAddress;
use keymoot_cluster::{
    AdminClient, AdminRequest, AdminResponse, Admitted, JoinReply, JoinRequest, PROTOCOL, ask_to_join,
};
use keymoot_command::Failure;
use keymoot_crypto::{JoinToken, Keyring};
use keymoot_model::NodeId;
use keymoot_state::{FEATURE_LEVEL, NodeFacts};
use keymoot_tls::{NodeKey, PeerIdentity, join_client_config};
use keymoot_tls::{PeerCredentials, peer_client_config};

/// How long a member may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long the members may take to say whether the node votes already.
const STATUS_WITHIN: Duration = Duration::from_secs(3);

/// `keymoot cluster join`.
#[derive(Clone, Args)]
pub struct JoinArgs {
    /// The token that `keymoot cluster token create` printed.
    #[arg(long, value_name = "TOKEN", env = "KEYMOOT_JOIN_TOKEN", hide_env_values = true)]
    pub token: String,
    /// The peer address of a member, any of them. More are tried one after another.
    #[arg(long = "member", value_name = "HOST:PORT", required = true)]
    pub members: Vec<PeerAddress>,
    /// A copy of the cluster's keyring, mode 0600. It is used where it lies.
    #[arg(long, value_name = "FILE")]
    pub keyring: PathBuf,
    /// Where the node lives and listens.
    #[command(flatten)]
    pub node: NodeArgs,
    /// A certificate that was issued by hand, for a cluster whose CA is the operator's own.
    #[arg(long, value_name = "FILE", requires_all = ["key", "ca"])]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// The CA's certificate.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub ca: Option<PathBuf>,
    /// The number of the member at --member, whose certificate is demanded; only with --cert.
    #[arg(long, value_name = "ID", requires = "cert", default_value_t = 1)]
    pub member_id: NodeId,
}

impl std::fmt::Debug for JoinArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JoinArgs({:?})", self.node)
    }
}

/// How members are reached.
enum Way {
    /// With nothing but the token.
    Token { key: Box<NodeKey>, tls: Arc<rustls::ClientConfig> },
    /// With a certificate.
    Certificate { id: NodeId, member: NodeId, tls: Arc<rustls::ClientConfig> },
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when no member admits the node; the text says whether the token is spent.
pub async fn run(args: JoinArgs) -> Result<(), Failure> {
    let token: JoinToken = args.token.parse().map_err(Failure::usage)?;
    let address = args.node.peer_address()?;
    let keyring = Arc::new(Keyring::load(&args.keyring).map_err(Failure::usage)?);
    let keyring_file = absolute(&args.keyring)?;
    let directory = NodeDirectory::open(&args.node.dir)?;
    let way = way(&args, &token, &directory)?;
    let request = JoinRequest {
        protocol: PROTOCOL,
        token: token.id,
        secret: token.secret.clone(),
        certificate_request: match &way {
            Way::Token { key, .. } => Some(key.request().map_err(Failure::runtime)?),
            Way::Certificate { .. } => None,
        },
        peer_address: address.to_string(),
        facts: NodeFacts {
            zone: args.node.zone.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            feature_level: FEATURE_LEVEL,
        },
        only_check: true,
    };
    match ask(&args, &token, &way, &keyring, &request).await? {
        JoinReply::Checked { keyring_check } => {
            keyring.verify_check(token.cluster.as_str(), &keyring_check).map_err(|error| {
                Failure::runtime(error)
                    .hint("the token is not spent: join again with the keyring that the other nodes use")
            })?
        }
        JoinReply::Refused(reason) => return Err(Failure::because(reason)),
        JoinReply::Admitted(_) => return Err(crate::cli::operator::unexpected()),
    }
    let request = JoinRequest { only_check: false, ..request };
    let admitted = match ask(&args, &token, &way, &keyring, &request).await? {
        JoinReply::Admitted(admitted) => *admitted,
        JoinReply::Refused(reason) => return Err(Failure::because(reason)),
        JoinReply::Checked { .. } => return Err(crate::cli::operator::unexpected()),
    };
    write_files(&args, &token, &directory, &keyring_file, &admitted)?;
    let (id, cluster) = (admitted.id, &token.cluster);
    let joined = match (admitted.learner, is_voter(&directory.config(), &admitted).await) {
        (_, true) => format!("node {id} is in the cluster {cluster} already, as a voter"),
        (true, _) => format!("node {id} joined the cluster {cluster} as a learner, and stays one"),
        (false, _) => {
            format!("node {id} joined the cluster {cluster} as a learner; it votes once it has caught up")
        }
    };
    say(&format!("{joined}\nstart it:\n  keymoot serve --config {}\n", directory.config().display()));
    Ok(())
}

/// Whether a member says that the node votes: it joined before, and asked again with the key of then.
async fn is_voter(config: &Path, admitted: &Admitted) -> bool {
    let Ok(operator) = Operator::new(Some(config)) else { return false };
    let asking = async {
        for (id, address) in admitted.members.iter().filter(|(id, _)| *id != admitted.id) {
            if let Ok(AdminResponse::Status(status)) =
                operator.ask_node(*id, address, AdminRequest::Status).await
            {
                return status.members.iter().any(|member| member.id == admitted.id && member.voter);
            }
        }
        false
    };
    tokio::time::timeout(STATUS_WITHIN, asking).await.unwrap_or(false)
}

fn way(args: &JoinArgs, token: &JoinToken, directory: &NodeDirectory) -> Result<Way, Failure> {
    let (Some(cert), Some(key), Some(ca)) = (&args.cert, &args.key, &args.ca) else {
        let key = NodeKey::load_or_create(&directory.file("node-key.pem")).map_err(Failure::runtime)?;
        let tls = join_client_config(&token.cluster, token.authority).map_err(Failure::runtime)?;
        return Ok(Way::Token { key: Box::new(key), tls });
    };
    let credentials = PeerCredentials::load(ca, cert, key, &token.cluster).map_err(Failure::usage)?;
    if credentials.authority_fingerprint() != Some(token.authority) {
        return Err(Failure::misuse(format!("{} is not the CA that the token names", ca.display())));
    }
    let PeerIdentity::Node(id) = credentials.identity() else {
        return Err(Failure::misuse(format!("{} is an operator's certificate, no node's", cert.display())));
    };
    let tls = peer_client_config(&credentials).map_err(Failure::usage)?;
    Ok(Way::Certificate { id, member: args.member_id, tls })
}

/// Asks the members in turn until one answers.
async fn ask(
    args: &JoinArgs,
    token: &JoinToken,
    way: &Way,
    keyring: &Arc<Keyring>,
    request: &JoinRequest,
) -> Result<JoinReply, Failure> {
    let mut said = Vec::new();
    for member in &args.members {
        let answer = match way {
            Way::Token { tls, .. } => {
                let asked = ask_to_join(member.as_str(), &token.cluster, tls.clone(), keyring, request).await;
                asked.map_err(|error| Failure::runtime(error).message().to_owned())
            }
            Way::Certificate { id, member: member_id, tls } => {
                let (tls, keyring) = (tls.clone(), keyring.clone());
                let client =
                    AdminClient::new(&token.cluster, Some(*id), tls, keyring, *member_id, member.as_str())
                        .map_err(Failure::usage)?;
                client.join(request.clone(), TIMEOUT).await.map_err(|error| error.to_string())
            }
        };
        match answer {
            Ok(reply) => return Ok(reply),
            Err(reason) => said.push(reason),
        }
    }
    Err(Failure::because(format!("no member could be asked: {}", said.join("; ")))
        .hint("repeat the command as it is: with the same --dir and token the node gets the same id"))
}

fn write_files(
    args: &JoinArgs,
    token: &JoinToken,
    directory: &NodeDirectory,
    keyring_file: &Path,
    admitted: &Admitted,
) -> Result<(), Failure> {
    let own = |name: &str| PathBuf::from(name);
    let [ca, cert, key] = match (&admitted.certificate_pem, &args.ca, &args.cert, &args.key) {
        (Some(certificate), ..) => {
            directory.write_public("ca.pem", &admitted.authority_pem)?;
            directory.write_public("node.pem", certificate)?;
            [own("ca.pem"), own("node.pem"), own("node-key.pem")]
        }
        (None, Some(ca), Some(cert), Some(key)) => [absolute(ca)?, absolute(cert)?, absolute(key)?],
        _ => return Err(Failure::because("the cluster sent no certificate")),
    };
    let config = NodeConfig {
        cluster: &token.cluster,
        id: admitted.id,
        args: &args.node,
        zone: &admitted.zone,
        ca_file: &ca,
        cert_file: &cert,
        key_file: &key,
        keyring_file,
        members: &admitted.members,
        founding: false,
    };
    directory.write_public("keymoot.toml", &config.text())
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| Failure::because(format!("cannot use {}: {error}", path.display())))
}
