//! `keymoot init`: everything the first node of a cluster needs, in one directory.
//!
//! Nothing that exists is overwritten. What is made here begins a cluster when the node is started.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::node_files::{KeyringOf, NodeArgs, NodeConfig, NodeDirectory, OPERATOR};
use super::operator::say;
use keymoot_cluster::OPERATOR_CERTIFICATE_LIFE;
use keymoot_crypto::{Keyring, secret_file};
use keymoot_model::{ClusterName, OperatorName};
use keymoot_tls::ClusterCa;
/// The id of the first node.
const FIRST: u64 = 1;

/// `keymoot init`.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The cluster's name: lower-case letters, digits and `-`. It stands in every certificate.
    #[arg(long, value_name = "NAME", default_value = "keymoot")]
    pub name: ClusterName,
    /// Also write the CA's private key to FILE, to be kept off-line. The node deletes its own copy as soon as the
    /// cluster holds the key, wrapped under the master key.
    #[arg(long, value_name = "FILE")]
    pub keep_ca_key: Option<PathBuf>,
    /// The first operator, who may do everything; the credential is operator.pem in the node's directory.
    #[arg(long, value_name = "NAME", default_value = "admin")]
    pub operator: OperatorName,
    /// Where the node lives and listens.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when something is there already, or cannot be written.
pub fn run(args: InitArgs) -> Result<(), Failure> {
    args.node.peer_address()?;
    let directory = NodeDirectory::open(&args.node.dir)?;
    let [ca, ca_key, cert, key, ring, operator] =
        ["ca.pem", "ca-key.pem", "node.pem", "node-key.pem", "keyring.toml", OPERATOR]
            .map(|name| directory.file(name));
    let kept = args.keep_ca_key.as_ref();
    let files = [&ca, &ca_key, &cert, &key, &ring, &operator];
    if let Some(file) = files.into_iter().chain(kept).find(|file| file.exists()) {
        return Err(Failure::misuse(format!("{} exists and is not overwritten", file.display()))
            .hint("take an empty --dir, and a new file for --keep-ca-key"));
    }
    let authority = ClusterCa::generate(&args.name).map_err(Failure::runtime)?;
    authority.save_new(&ca, &ca_key).map_err(Failure::runtime)?;
    if let Some(file) = kept {
        secret_file::create(file, authority.key_pem().expose()).map_err(Failure::runtime)?;
    }
    authority.issue_node(FIRST).and_then(|issued| issued.save_new(&cert, &key)).map_err(Failure::runtime)?;
    Keyring::save_new(&ring).map_err(Failure::runtime)?;
    let credential = authority.issue_operator_credential(&args.operator, OPERATOR_CERTIFICATE_LIFE);
    let credential = credential.map_err(Failure::runtime)?;
    secret_file::create(&operator, credential.as_bytes()).map_err(Failure::runtime)?;
    let config = NodeConfig {
        cluster: &args.name,
        id: FIRST,
        args: &args.node,
        zone: &args.node.zone,
        ca_file: "ca.pem".as_ref(),
        cert_file: "node.pem".as_ref(),
        key_file: "node-key.pem".as_ref(),
        keyring: KeyringOf::Node("keyring.toml".as_ref()),
        members: &[],
        founding: true,
        signs: true,
    };
    directory.write_public("keymoot.toml", &config.text()?)?;
    say(&next_steps(&args, &directory)?);
    Ok(())
}

fn next_steps(args: &InitArgs, directory: &NodeDirectory) -> Result<String, Failure> {
    let (config, ring) = (directory.config(), directory.file("keyring.toml"));
    let (config, ring, here) = (config.display(), ring.display(), args.node.peer_address()?);
    Ok(format!(
        "made node {FIRST} of the new cluster {name} in {dir}\n\n\
         1. Keep a copy of {ring} off-line: nothing else opens the cluster's keys.\n\
         2. Start the node; its first start begins the cluster:\n     keymoot serve --config {config}\n   \
         The cluster then holds the CA's key itself, wrapped, and the node deletes ca-key.pem.\n\
         3. For each further node make a token, at any node:\n     keymoot cluster token create --config {config}\n\
         4. On the next machine, with a copy of keyring.toml (mode 0600):\n     \
         keymoot cluster join --token TOKEN --member {here} --dir DIR --keyring keyring.toml \\\n       \
         --listen 0.0.0.0:9081 --advertise HOST:9081\n     keymoot serve --config DIR/keymoot.toml\n\
         5. Commands with this configuration are those of the operator {operator}, who may do everything; the\n   \
         credential is operator.pem. Add one for each person, and renew yours within 90 days:\n     \
         keymoot operator add NAME --role viewer --config {config}\n     keymoot operator renew --config {config}\n\
         6. See how the cluster is:\n     keymoot cluster status --config {config}\n\
         7. Have it take backups, into a directory that each node can write to:\n     \
         keymoot backup schedule set --config {config} --every 6h --keep 14 --directory DIR\n",
        name = args.name,
        operator = args.operator,
        dir = args.node.dir.display(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::node_files::ProfileArg;
    use crate::cli::tls_args::TlsArgs;
    use crate::config::Loaded;
    use keymoot_tls::OperatorCredential;
    use keymoot_tls::PeerCredentials;
    use keymoot_tls::PeerIdentity;

    fn args(dir: &std::path::Path) -> InitArgs {
        let node = NodeArgs {
            dir: dir.to_owned(),
            listen: "127.0.0.1:9081".parse().unwrap(),
            advertise: None,
            http_listen: "127.0.0.1:8081".parse().unwrap(),
            admin_listen: None,
            tls: TlsArgs::default(),
            zone: "west".into(),
            profile: ProfileArg::Lan,
        };
        InitArgs {
            name: ClusterName::new("moot").unwrap(),
            keep_ca_key: None,
            operator: OperatorName::new("alice").unwrap(),
            node,
        }
    }

    #[test]
    fn a_copy_of_the_cas_key_is_made_where_it_is_asked_for_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("safe.pem");
        let asked = |home: &str| InitArgs { keep_ca_key: Some(kept.clone()), ..args(&dir.path().join(home)) };
        run(asked("node")).unwrap();
        assert!(
            ClusterCa::load(&dir.path().join("node/ca.pem"), &kept).is_ok(),
            "it is the CA's, and only its owner's"
        );
        let said = run(asked("other")).unwrap_err().to_string();
        assert!(said.contains("safe.pem exists and is not overwritten"), "{said}");
    }

    #[test]
    fn what_init_makes_works_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("node");
        run(args(&home)).unwrap();
        let config = Loaded::from_sources(Some(&home.join("keymoot.toml")), []).unwrap().config;
        let cluster = &config.cluster;
        let credentials =
            PeerCredentials::load(&cluster.ca_file, &cluster.cert_file, &cluster.key_file, &cluster.name);
        assert_eq!(credentials.unwrap().identity(), PeerIdentity::Node(1));
        assert!(Keyring::load(&config.keys.keyring_file).is_ok());
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "a copy of the CA's key was made unasked"
        );
        let operator = OperatorCredential::load(&config.admin.credential_file.unwrap()).unwrap();
        assert_eq!((operator.name.as_str(), operator.cluster.as_str()), ("alice", "moot"));
        assert!(run(args(&home)).is_err());
        std::fs::remove_file(home.join("keymoot.toml")).unwrap();
        let said = run(args(&home)).unwrap_err().to_string();
        assert!(said.contains("ca.pem exists and is not overwritten"), "{said}");
    }
}
