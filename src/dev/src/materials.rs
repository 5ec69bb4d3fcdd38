//! The files that a development cluster needs before it can start: CA, certificates, keyring,
//! signing keys, and a configuration file per node. Existing files are reused, except for the
//! configuration files, which are written anew at every start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::directory::{DevDirectory, failed};
use super::ports::{NodePorts, Plan};
use super::{DEMO_ACCOUNT, DEMO_PARTNER, OPERATOR};
use keymoot_command::Failure;
use keymoot_crypto::{Keyring, SecretBytes, random_bytes, secret_file};
use keymoot_model::{ClusterName, NodeId, OperatorName};
use keymoot_tls::{ClusterCa, PkiError};

/// The name of every development cluster.
const CLUSTER_NAME: &str = "dev";

/// For how long the operator's credential is good: a year.
const OPERATOR_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// A prepared cluster.
pub(super) struct Materials {
    pub(super) nodes: Vec<NodeMaterials>,
    pub(super) ca_file: PathBuf,
    pub(super) tls: bool,
    /// The credential of the operator whose commands are typed with the nodes' configurations.
    pub(super) operator_file: PathBuf,
    pub(super) encryption_key_file: PathBuf,
    pub(super) license_key_file: PathBuf,
    pub(super) encryption_key: SecretBytes,
    pub(super) license_key: SecretBytes,
}

/// A prepared node.
#[derive(Clone, Debug)]
pub(super) struct NodeMaterials {
    pub(super) id: NodeId,
    pub(super) directory: PathBuf,
    pub(super) config_file: PathBuf,
    pub(super) log_file: PathBuf,
    pub(super) api_port: u16,
    pub(super) peer_port: u16,
    pub(super) admin_port: Option<u16>,
    pub(super) packager_port: Option<u16>,
}

impl NodeMaterials {
    /// The base URL of its packagers' listener, if it has one.
    pub(super) fn packager(&self) -> Option<String> {
        self.packager_port.map(|port| format!("http://127.0.0.1:{port}"))
    }
}

impl Materials {
    /// The base URL of a node's API.
    pub(super) fn api(&self, node: &NodeMaterials) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", node.api_port)
    }
}

/// Makes the files that are missing.
pub(super) fn prepare(directory: &DevDirectory, plan: &Plan, tls: bool) -> Result<Materials, Failure> {
    let ca = authority(directory, plan)?;
    let keyring_file = directory.file("keyring.toml");
    if !keyring_file.exists() {
        Keyring::save_new(&keyring_file).map_err(Failure::runtime)?;
    }
    let entitlements_file = directory.file("entitlements.toml");
    if !entitlements_file.exists() {
        fs::write(&entitlements_file, entitlements_text())
            .map_err(|e| failed("write", &entitlements_file, &e))?;
    }
    let operator_file = directory.file("operator.pem");
    if !operator_file.exists() {
        let name = OperatorName::new(OPERATOR).map_err(Failure::runtime)?;
        let credential = ca.issue_operator_credential(&name, OPERATOR_LIFE).map_err(Failure::runtime)?;
        secret_file::create(&operator_file, credential.as_bytes()).map_err(Failure::runtime)?;
    }
    if tls {
        ensure_pair(&directory.file("api.pem"), &directory.file("api-key.pem"), |cert, key| {
            ca.issue_loopback_api()?.save_new(cert, key)
        })?;
    }
    let nodes = plan.nodes.iter().map(|ports| prepare_node(directory, &ca, ports, tls));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let encryption_key_file = directory.file("encryption.key");
    let license_key_file = directory.file("license.key");
    Ok(Materials {
        nodes,
        ca_file: directory.file("ca.pem"),
        tls,
        operator_file,
        encryption_key: signing_key(&encryption_key_file)?,
        license_key: signing_key(&license_key_file)?,
        encryption_key_file,
        license_key_file,
    })
}

fn authority(directory: &DevDirectory, plan: &Plan) -> Result<ClusterCa, Failure> {
    let (cert, key) = (directory.file("ca.pem"), directory.file("ca-key.pem"));
    if !(cert.exists() && key.exists()) {
        // Certificates of a CA that no longer exists are useless.
        for id in plan.nodes.iter().map(|node| node.id) {
            remove(&directory.node(id).join("node.pem"))?;
        }
        remove(&directory.file("api.pem"))?;
        remove(&directory.file("operator.pem"))?;
    }
    ensure_pair(&cert, &key, |cert, key| {
        let name =
            ClusterName::new(CLUSTER_NAME).map_err(|_| PkiError::NotAnAuthority { path: cert.to_owned() })?;
        ClusterCa::generate(&name)?.save_new(cert, key)
    })?;
    ClusterCa::load(&cert, &key).map_err(|error| Failure::runtime(error).hint("begin anew with --fresh"))
}

fn prepare_node(
    directory: &DevDirectory,
    ca: &ClusterCa,
    ports: &NodePorts,
    tls: bool,
) -> Result<NodeMaterials, Failure> {
    let own = directory.node(ports.id);
    fs::create_dir_all(&own).map_err(|e| failed("make", &own, &e))?;
    ensure_pair(&own.join("node.pem"), &own.join("node-key.pem"), |cert, key| {
        ca.issue_node(ports.id)?.save_new(cert, key)
    })?;
    let config_file = own.join("keymoot.toml");
    fs::write(&config_file, config_text(ports, tls)).map_err(|e| failed("write", &config_file, &e))?;
    Ok(NodeMaterials {
        id: ports.id,
        log_file: own.join("keymoot.log"),
        directory: own,
        config_file,
        api_port: ports.api,
        peer_port: ports.peer,
        admin_port: ports.admin,
        packager_port: ports.packager,
    })
}

/// A node's configuration: only the settings that differ from the defaults.
fn config_text(ports: &NodePorts, tls: bool) -> String {
    let NodePorts { id, api, peer, .. } = ports;
    let tls = if tls { "tls_cert_file = \"../api.pem\"\ntls_key_file = \"../api-key.pem\"\n" } else { "" };
    let admin = ports.admin.map_or_else(String::new, |port| {
        format!("\n[admin]\nlisten = \"127.0.0.1:{port}\"\ncredential_file = \"../operator.pem\"\n")
    });
    let packager = ports.packager.map_or_else(String::new, |port| {
        format!(
            "\n[packager]\nlisten = \"127.0.0.1:{port}\"\nallow_list = [\"127.0.0.1\"]\n\
             accounts = [\"{DEMO_PARTNER}={DEMO_ACCOUNT}\"]\n"
        )
    });
    format!(
        "# Written by `keymoot dev` at every start; changes made here are lost.\n\n\
         [node]\nid = {id}\ndata_dir = \"data\"\nzone = \"dev\"\n\n\
         [cluster]\nname = \"{CLUSTER_NAME}\"\npeer_listen = \"127.0.0.1:{peer}\"\n\
         ca_file = \"../ca.pem\"\ncert_file = \"node.pem\"\nkey_file = \"node-key.pem\"\n\n\
         [http]\nlisten = \"127.0.0.1:{api}\"\n{tls}loopback_passwords = true\n\
         drain_timeout_ms = 3000\n\n[auth]\nauthorities = [\"localhost\"]\n\n\
         [license]\nclear_key_accounts = [\"{DEMO_ACCOUNT}\"]\n\
         entitlements_file = \"../entitlements.toml\"\n\n\
         [keys]\nkeyring_file = \"../keyring.toml\"\n{admin}{packager}"
    )
}

/// The entitlements: every viewer with signed custom data of the demo account may watch.
fn entitlements_text() -> String {
    format!(
        "# Written by `keymoot dev` once; changes made here count when the nodes start again.\n\
         # What can stand here: config/entitlements.example.toml.\n\n\
         [[entitlement]]\naccount = \"{DEMO_ACCOUNT}\"\nadapter = \"static\"\n"
    )
}

fn ensure_pair(
    cert: &Path,
    key: &Path,
    make: impl FnOnce(&Path, &Path) -> Result<(), PkiError>,
) -> Result<(), Failure> {
    if cert.exists() && key.exists() {
        return Ok(());
    }
    // A certificate without its key, or the reverse, is left from an interrupted start.
    remove(cert)?;
    remove(key)?;
    make(cert, key).map_err(Failure::runtime)
}

fn signing_key(path: &Path) -> Result<SecretBytes, Failure> {
    if !path.exists() {
        let random = Zeroizing::new(random_bytes::<24>().map_err(Failure::runtime)?);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice()));
        secret_file::create(path, text.as_bytes()).map_err(Failure::runtime)?;
    }
    secret_file::read_signing_key(path).map_err(Failure::runtime)
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot::config::Loaded;
    use keymoot_license::entitlement::load_entitlements;
    use keymoot_tls::PeerCredentials;
    use keymoot_tls::{ApiTls, ApiTlsFiles, PeerIdentity};

    fn plan() -> Plan {
        let node = |id: u16| NodePorts {
            id: id.into(),
            api: 8080 + id,
            peer: 9080 + id,
            admin: Some(8580 + id),
            packager: Some(8180 + id),
        };
        Plan { nodes: (1..=3).map(node).collect() }
    }

    #[test]
    fn every_generated_configuration_loads_with_working_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let directory = DevDirectory::open(dir.path()).unwrap();
        let made = prepare(&directory, &plan(), true).unwrap();
        for node in &made.nodes {
            let config = Loaded::from_sources(Some(&node.config_file), []).unwrap().config;
            assert_eq!(config.node.data_dir, node.directory.join("data"));
            assert_eq!(config.packager.listen.map(|listen| listen.port()), node.packager_port);
            assert_eq!(config.packager.accounts[0].account.as_str(), DEMO_ACCOUNT);
            let entitlements = load_entitlements(&config.license.entitlements_file.unwrap()).unwrap();
            assert_eq!(entitlements[0].account.as_str(), DEMO_ACCOUNT);
            let cluster = &config.cluster;
            let peer =
                PeerCredentials::load(&cluster.ca_file, &cluster.cert_file, &cluster.key_file, &cluster.name);
            assert_eq!(peer.unwrap().identity(), PeerIdentity::Node(node.id));
            let (cert, key) = (config.http.tls_cert_file.unwrap(), config.http.tls_key_file.unwrap());
            assert!(ApiTls::load(ApiTlsFiles { cert, key, client_ca: None, client_required: false }).is_ok());
            assert!(Keyring::load(&config.keys.keyring_file).is_ok());
        }
    }

    #[test]
    fn a_second_start_reuses_keys_and_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let directory = DevDirectory::open(dir.path()).unwrap();
        let read = |name: &str| fs::read(directory.file(name)).unwrap();
        let first = prepare(&directory, &plan(), false).unwrap();
        let kept = ["ca.pem", "keyring.toml", "node-2/node.pem", "encryption.key"].map(read);
        let second = prepare(&directory, &plan(), false).unwrap();
        assert_eq!(kept, ["ca.pem", "keyring.toml", "node-2/node.pem", "encryption.key"].map(read));
        assert_eq!(first.encryption_key.expose(), second.encryption_key.expose());
        assert_ne!(first.encryption_key.expose(), first.license_key.expose());
    }

    #[test]
    fn a_start_that_was_cut_short_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let directory = DevDirectory::open(dir.path()).unwrap();
        prepare(&directory, &plan(), false).unwrap();
        fs::remove_file(directory.file("ca.pem")).unwrap();
        let made = prepare(&directory, &plan(), false).unwrap();
        let config = Loaded::from_sources(Some(&made.nodes[0].config_file), []).unwrap().config.cluster;
        assert!(
            PeerCredentials::load(&config.ca_file, &config.cert_file, &config.key_file, &config.name).is_ok()
        );
    }
}
