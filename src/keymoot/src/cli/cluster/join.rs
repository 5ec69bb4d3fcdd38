//! `keymoot cluster join`: makes this machine a node of a running cluster.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::admission::Applicant;
use crate::cli::node_files::{KeyringOf, NodeArgs, NodeConfig, NodeDirectory, OPERATOR, absolute};
use crate::cli::operator::{Operator, say};
use keymoot_cluster::settings::{MemberAddress, PeerAddress};
use keymoot_cluster::{AdminRequest, AdminResponse, Admitted};
use keymoot_command::Failure;
use keymoot_crypto::{JoinToken, Keyring};
use keymoot_model::NodeId;

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
    /// A copy of the cluster's keyring, mode 0600. It is used where it lies. A witness, whose token says that it is
    /// one, has none.
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,
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

/// Runs the command.
///
/// # Errors
/// [`Failure`] when no member admits the node; the text says whether the token is spent.
pub async fn run(args: JoinArgs) -> Result<(), Failure> {
    let token: JoinToken = args.token.parse().map_err(Failure::usage)?;
    let keyring_file = keyring_file(&args, &token)?;
    args.node.tls.check(args.node.http_listen.ip(), args.cert.is_none() && token.verifier.is_none())?;
    let address = args.node.peer_address()?;
    let keyring = match &keyring_file {
        Some(file) => Arc::new(Keyring::load(file).map_err(Failure::usage)?),
        None => Arc::new(Keyring::none()),
    };
    let directory = NodeDirectory::open(&args.node.dir)?;
    let applicant = match (&args.cert, &args.key, &args.ca) {
        _ if token.verifier.is_some() => Applicant::witness(&token, &directory.file("node-key.pem"))?,
        (Some(cert), Some(key), Some(ca)) => {
            Applicant::with_certificate(&token, keyring, [ca.as_path(), cert.as_path(), key.as_path()])?
        }
        _ => Applicant::with_key(&token, keyring, &directory.file("node-key.pem"))?,
    };
    let members: Vec<MemberAddress> = args
        .members
        .iter()
        .map(|address| MemberAddress { id: args.member_id, address: address.clone() })
        .collect();
    let admitted = applicant.join(&members, address.as_str(), &args.node.zone).await?;
    write_files(&args, &token, &directory, keyring_file.as_deref(), &admitted)?;
    let (id, cluster) = (admitted.id, &token.cluster);
    let joined = match (admitted.learner, is_voter(&directory.config(), &admitted).await) {
        _ if token.verifier.is_some() => {
            format!("node {id} joined the cluster {cluster} as a witness; it votes once it has caught up")
        }
        (_, true) => format!("node {id} is in the cluster {cluster} already, as a voter"),
        (true, _) => format!("node {id} joined the cluster {cluster} as a learner, and stays one"),
        (false, _) => {
            format!("node {id} joined the cluster {cluster} as a learner; it votes once it has caught up")
        }
    };
    say(&format!(
        "{joined}\nstart it:\n  keymoot serve --config {}\nto type commands on this machine, too, bring an operator's \
         credential:\n  {}\n",
        directory.config().display(),
        directory.file(OPERATOR).display()
    ));
    Ok(())
}

/// The keyring that the node is to use; none for a witness.
fn keyring_file(args: &JoinArgs, token: &JoinToken) -> Result<Option<PathBuf>, Failure> {
    let of_node = [
        ("--admin-listen", args.node.admin_listen.is_some()),
        ("--http-name", !args.node.tls.http_names.is_empty()),
    ];
    if let Some((name, _)) = of_node.into_iter().find(|(_, is_given)| *is_given && token.verifier.is_some()) {
        return Err(Failure::misuse(format!(
            "a witness serves no operators and no clients, so {name} means nothing for it: leave it out"
        )));
    }
    match (&args.keyring, &token.verifier) {
        (Some(file), None) => absolute(file).map(Some),
        (None, Some(_)) if args.cert.is_none() => Ok(None),
        (None, Some(_)) => Err(Failure::misuse(
            "a witness joins with a certificate of the cluster's own CA: leave --cert, --key and --ca out",
        )),
        (Some(_), Some(_)) => Err(Failure::misuse(
            "the token is for a witness, which must hold no master key: leave --keyring out, and take the file away from \
             this machine",
        )
        .hint("for a node with the keyring, make a token with keymoot cluster token create")),
        (None, None) => Err(Failure::misuse(
            "the token is for a node with the keyring: pass --keyring FILE, a copy of the one that the other nodes use",
        )
        .hint("for a witness without keyring, make a token with keymoot cluster token create --witness")),
    }
}

/// Whether a member says that the node votes: it joined before, and asked again with the key of then.
async fn is_voter(config: &Path, admitted: &Admitted) -> bool {
    let Ok(operator) = Operator::by_keyring(Some(config)) else { return false };
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

fn write_files(
    args: &JoinArgs,
    token: &JoinToken,
    directory: &NodeDirectory,
    keyring_file: Option<&Path>,
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
    let keyring = match (keyring_file, &token.verifier) {
        (Some(file), _) => KeyringOf::Node(file),
        (None, Some(verifier)) => KeyringOf::Witness(verifier),
        (None, None) => return Err(Failure::because("the node has no keyring")),
    };
    let config = NodeConfig {
        cluster: &token.cluster,
        id: admitted.id,
        args: &args.node,
        zone: &admitted.zone,
        ca_file: &ca,
        cert_file: &cert,
        key_file: &key,
        keyring,
        members: &admitted.members,
        founding: false,
        // A witness cannot have the cluster's authority make a certificate for its listener.
        signs: admitted.certificate_pem.is_some() && token.verifier.is_none(),
    };
    directory.write_public("keymoot.toml", &config.text()?)
}
