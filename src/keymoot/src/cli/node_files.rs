//! The files of a node that `init` and `join` make: what lies where in its directory.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::Failure;
use super::tls_args::TlsArgs;
use keymoot_cluster::settings::{NetworkProfile, PeerAddress, VerifierText};
use keymoot_crypto::secret_file;
use keymoot_model::NodeId;
use keymoot_model::{ClusterName, MasterKeyVerifier};

/// The file of the operator's credential, beside the configuration. A node that joined has none until somebody
/// brings one.
pub(super) const OPERATOR: &str = "operator.pem";
/// The difference between a node's peer port and its operators' port.
const ADMIN_OFFSET: u16 = 500;

/// Where a new node lives and listens.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// The node's directory: configuration, certificate, key, and the data below `data`.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Where other nodes connect to.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9081")]
    pub listen: SocketAddr,
    /// HOST:PORT that other nodes dial, when it is not what the node listens on.
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<PeerAddress>,
    /// Where scramblers and players connect to.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub http_listen: SocketAddr,
    /// How clients are served.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Where operators connect to. If it is not said: on loopback, at the port 500 below that of --listen.
    #[arg(long, value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,
    /// The data centre or rack that the node is in.
    #[arg(long, value_name = "ZONE", default_value = "")]
    pub zone: String,
    /// The network between the nodes.
    #[arg(long, value_enum, default_value_t)]
    pub profile: ProfileArg,
}

/// The network between the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProfileArg {
    /// One site.
    #[default]
    Lan,
    /// Several sites.
    Wan,
}

impl NodeArgs {
    /// What other nodes dial.
    ///
    /// # Errors
    /// When it cannot be told from the address that the node listens on.
    pub fn peer_address(&self) -> Result<PeerAddress, Failure> {
        match &self.advertise {
            Some(address) => Ok(address.clone()),
            None if self.listen.ip().is_unspecified() || self.listen.port() == 0 => {
                Err(Failure::misuse(format!("nobody can dial {}: pass --advertise HOST:PORT", self.listen)))
            }
            None => Ok(self.listen.into()),
        }
    }

    /// Names and addresses of the node.
    fn hosts(&self) -> Vec<String> {
        let dialled = self.advertise.as_ref().map(|address| address.host().to_owned());
        let listens = [self.http_listen, self.listen].map(|address| address.ip().to_string());
        dialled.into_iter().chain(listens).collect()
    }

    /// Where operators connect to; `None` where no port is left for them.
    fn admin_address(&self) -> Option<SocketAddr> {
        let beside =
            || Some(SocketAddr::from(([127, 0, 0, 1], self.listen.port().checked_sub(ADMIN_OFFSET)?)));
        self.admin_listen.or_else(beside)
    }
}

/// The directory of a new node, which exists now and holds no node yet.
pub(super) struct NodeDirectory(PathBuf);

impl NodeDirectory {
    /// Makes the directory, for its owner only.
    ///
    /// # Errors
    /// When it cannot be made, or a node lives there.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error| Failure::because(format!("cannot make {}: {error}", path.display()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let directory = Self(path.canonicalize().map_err(failed)?);
        let config = directory.config();
        if config.exists() {
            return Err(Failure::misuse(format!("{} exists: a node lives there already", config.display()))
                .hint(
                    "take another --dir, or move the whole directory of the node that lived there away first; \
                     keep the keyring",
                ));
        }
        Ok(directory)
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.file("keymoot.toml")
    }

    /// Makes a file that is no secret, in place of one that an earlier try left behind.
    pub(super) fn write_public(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::because(format!("cannot replace {}: {error}", path.display())))
            }
            _ => secret_file::create_public(&path, text.as_bytes()).map_err(Failure::runtime),
        }
    }
}

/// The whole path of a file that is given on the command line, for a configuration that lies elsewhere.
///
/// # Errors
/// When it is not there.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| Failure::because(format!("cannot use {}: {error}", path.display())))
}

/// What a node has of the master keys.
pub(super) enum KeyringOf<'a> {
    /// The keyring in this file.
    Node(&'a Path),
    /// Nothing but what tells who holds one.
    Witness(&'a MasterKeyVerifier),
}

/// What stands in a node's configuration. Paths are relative to it.
pub(super) struct NodeConfig<'a> {
    pub cluster: &'a ClusterName,
    pub id: NodeId,
    pub args: &'a NodeArgs,
    pub zone: &'a str,
    pub ca_file: &'a Path,
    pub cert_file: &'a Path,
    pub key_file: &'a Path,
    pub keyring: KeyringOf<'a>,
    /// The members, where they were when the node joined.
    pub members: &'a [(NodeId, String)],
    pub founding: bool,
    /// Whether the cluster's authority signs certificates.
    pub signs: bool,
}

impl NodeConfig<'_> {
    /// The file's text.
    ///
    /// # Errors
    /// When a file that is given for the API is not there.
    pub(super) fn text(&self) -> Result<String, Failure> {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let path = |path: &Path| quoted(&path.to_string_lossy());
        let args = self.args;
        let mut text = format!(
            "# One node of the cluster {}. Every key there is: config/keymoot.toml; what is in effect:\n\
             # keymoot config show --config FILE.\n\n\
             [node]\nid = {}\ndata_dir = \"data\"\nzone = {}\n",
            self.cluster,
            self.id,
            quoted(self.zone),
        );
        if let KeyringOf::Witness(verifier) = self.keyring {
            let verifier = VerifierText(verifier.clone()).to_string();
            text.push_str(&format!("witness = true\nverifiers = [{}]\n", quoted(&verifier)));
        }
        text.push_str(&format!(
            "\n[cluster]\nname = \"{}\"\npeer_listen = \"{}\"\n",
            self.cluster, args.listen
        ));
        if let Some(address) = &args.advertise {
            text.push_str(&format!("peer_advertise = {}\n", quoted(address.as_str())));
        }
        let others = self.members.iter().filter(|(id, _)| *id != self.id);
        let hints: Vec<String> = others.map(|(id, address)| quoted(&format!("{id}={address}"))).collect();
        if !hints.is_empty() {
            text.push_str(&format!("peer_hints = [{}]\n", hints.join(", ")));
        }
        text.push_str(&format!(
            "ca_file = {}\ncert_file = {}\nkey_file = {}\n",
            path(self.ca_file),
            path(self.cert_file),
            path(self.key_file)
        ));
        if self.founding {
            text.push_str("founding_ca_key_file = \"ca-key.pem\"\n");
        }
        let profile = match args.profile {
            ProfileArg::Lan => NetworkProfile::Lan,
            ProfileArg::Wan => NetworkProfile::Wan,
        };
        let tls = args.tls.keys(&args.hosts(), self.signs)?;
        // Strangers do not read them; operators do, at their own listener.
        let metrics = if args.http_listen.ip().is_loopback() { "" } else { "metrics = \"off\"\n" };
        let auth = args.tls.auth_keys(&args.hosts(), self.signs);
        text.push_str(&format!(
            "profile = \"{}\"\n\n[http]\nlisten = \"{}\"\n{tls}{metrics}{auth}",
            profile.name(),
            args.http_listen,
        ));
        let KeyringOf::Node(keyring_file) = self.keyring else { return Ok(text) };
        text.push_str(&format!("\n[keys]\nkeyring_file = {}\n", path(keyring_file)));
        if let Some(address) = args.admin_address() {
            text.push_str(&format!("\n[admin]\nlisten = \"{address}\"\ncredential_file = \"{OPERATOR}\"\n"));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;
    use keymoot_http::settings::TlsSource;

    fn args(dir: &Path) -> NodeArgs {
        NodeArgs {
            dir: dir.to_owned(),
            listen: "0.0.0.0:9081".parse().unwrap(),
            advertise: Some("km-1.example.net:9081".parse().unwrap()),
            http_listen: "127.0.0.1:8081".parse().unwrap(),
            tls: TlsArgs { http_names: vec!["drm.example.net".parse().unwrap()], ..TlsArgs::default() },
            admin_listen: None,
            zone: "we\"st".into(),
            profile: ProfileArg::Wan,
        }
    }

    #[test]
    fn the_configuration_loads_and_says_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let args = args(dir.path());
        let cluster = ClusterName::new("moot").unwrap();
        let text = NodeConfig {
            cluster: &cluster,
            id: 4,
            args: &args,
            zone: &args.zone,
            ca_file: Path::new("ca.pem"),
            cert_file: Path::new("node.pem"),
            key_file: Path::new("node-key.pem"),
            keyring: KeyringOf::Node(Path::new("/etc/keyring.toml")),
            members: &[(4, "own:1".into()), (1, "km-1:9081".into()), (3, "km-3:9081".into())],
            founding: true,
            signs: true,
        };
        let directory = NodeDirectory::open(dir.path()).unwrap();
        directory.write_public("keymoot.toml", &text.text().unwrap()).unwrap();
        let config = Loaded::from_sources(Some(&directory.config()), []).unwrap().config;
        assert_eq!((config.node.id, config.node.zone.as_str()), (4, "we\"st"));
        assert_eq!(config.cluster.profile, NetworkProfile::Wan);
        assert_eq!(config.cluster.election_timeout_max_ms, 4000);
        assert_eq!(config.cluster.peer_address().as_str(), "km-1.example.net:9081");
        assert_eq!(config.cluster.founding_ca_key_file, Some(directory.file("ca-key.pem")));
        let hints: Vec<String> = config.cluster.peer_hints.iter().map(ToString::to_string).collect();
        assert_eq!(hints, ["1=km-1:9081", "3=km-3:9081"]);
        let names: Vec<String> = config.http.tls_names.iter().map(ToString::to_string).collect();
        assert_eq!(
            (config.http.tls, names.join(" ")),
            (TlsSource::Cluster, "drm.example.net km-1.example.net".into())
        );
        let authorities: Vec<String> = config.auth.authorities.iter().map(ToString::to_string).collect();
        assert_eq!(authorities, ["drm.example.net", "km-1.example.net"]);
        assert_eq!(config.admin.listen, Some("127.0.0.1:8581".parse().unwrap()));
        assert_eq!(config.keys.keyring_file, Path::new("/etc/keyring.toml"));
        assert!(NodeDirectory::open(dir.path()).is_err(), "a node lives there");
    }

    #[test]
    fn an_address_that_nobody_can_dial_needs_another() {
        let mut args = args(Path::new("x"));
        args.advertise = None;
        assert!(args.peer_address().is_err());
        args.listen = "10.0.0.1:9081".parse().unwrap();
        assert_eq!(args.peer_address().unwrap().as_str(), "10.0.0.1:9081");
    }
}
