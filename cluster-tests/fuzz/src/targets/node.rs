//! A node that runs in this process, for targets that drive it whole: the only member of its cluster, with one
//! account whose keys the fuzzer knows.

use std::path::Path;
use std::sync::Arc;

use keymoot::config::Config;
use keymoot_cluster::Cluster;
use keymoot_cluster::settings::{ClusterSettings, FoundingOperator};
use keymoot_crypto::{Keyring, secret_file};
use keymoot_model::{Fingerprint, OperatorName};
use keymoot_service::begin_accounts;
use keymoot_telemetry::Metrics;
use keymoot_tls::ClusterCa;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The account.
pub const ACCOUNT: &str = "167";
/// Its signing keys, one for each scope, by their SHA-1 signatures.
pub const ENCRYPTION_KEY: &str = "the encryption signing key";
pub const LICENSE_KEY: &str = "the license signing key";
pub const POLICY_KEY: &str = "the policy signing key";
/// Its shared secret of message signatures, and its password.
pub const MESSAGE_SECRET: &str = "a shared secret of message signatures";
pub const PASSWORD: &str = "a password of some length";
/// The password of its Digest credential.
pub const DIGEST_PASSWORD: &str = "another password of some length";
/// Its access key id, and the secret access key.
pub const ACCESS_KEY: &str = "KMFUZZED0000000001";
pub const AWS_SECRET: &str = "a secret access key of some length";
/// The key and the IV of its packagers.
pub const WIDEVINE_SIGNER: &str =
    "1ae8ccd0e7985cc0b6203a55855a1034afc252980e970ca90e5202689f947ab9:d58ce954203b7c9a9a9d467f59839249";

/// The most keys that the account may make in a day: what is stored must not outgrow the machine.
const NEW_KEYS_PER_DAY: u32 = 2_000;

const CREDENTIALS: [(&str, &str, &str, &str); 8] = [
    ("encryption", "encryption", "udrm-sha1", ENCRYPTION_KEY),
    ("license", "license", "udrm-sha1", LICENSE_KEY),
    ("policy", "policy", "udrm-sha1", POLICY_KEY),
    ("message", "encryption", "http-hmac-sha256", MESSAGE_SECRET),
    ("password", "encryption", "basic", PASSWORD),
    ("digest", "encryption", "digest", DIGEST_PASSWORD),
    ("widevine", "encryption", "widevine-aes", WIDEVINE_SIGNER),
    (ACCESS_KEY, "encryption", "aws-sigv4", AWS_SECRET),
];

/// A running node. Its directory is deleted when it is dropped.
pub struct FuzzedNode {
    pub cluster: Cluster,
    pub config: Config,
    pub keyring: Arc<Keyring>,
    pub metrics: Arc<Metrics>,
    /// Raft's.
    pub runtime: Runtime,
    _home: TempDir,
}

impl FuzzedNode {
    /// Starts it, and returns once it serves the account.
    pub fn start() -> Self {
        let home = home();
        let config = config(home.path());
        let authority = ClusterCa::generate(&config.cluster.name).expect("an authority");
        let ca_key = config.cluster.founding_ca_key_file.clone().expect("a founding node");
        authority.save_new(&config.cluster.ca_file, &ca_key).expect("the authority's files");
        let issued = authority.issue_node(config.node.id).expect("a certificate");
        issued.save_new(&config.cluster.cert_file, &config.cluster.key_file).expect("the node's files");
        let keyring = Arc::new(Keyring::generate().expect("a keyring"));
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        // In a cluster with an operator the keyring alone grants nothing.
        let founding_operator = Some(FoundingOperator {
            name: OperatorName::new("admin").expect("a name"),
            fingerprint: Fingerprint::from_bytes([0; 32]),
            expires_at_s: u64::from(u32::MAX),
        });
        let settings = ClusterSettings { founding_operator, ..config.cluster_settings() };
        let accounts = home.path().join("accounts.toml");
        write_accounts(home.path(), &accounts);
        let cluster = runtime.block_on(async {
            let started = Cluster::start(&settings, keyring.clone(), metrics.clone(), runtime.handle());
            let cluster = started.await.expect("the node starts");
            begin_accounts(&cluster, &keyring, cluster.events(), &accounts).await.expect("the account");
            while !ca_key.with_extension("founded").exists() && ca_key.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            cluster
        });
        Self { cluster, config, keyring, metrics, runtime, _home: home }
    }

    /// That the node can go on.
    pub fn must_run(&self) {
        let failure = self.cluster.failure();
        let failure = failure.borrow();
        assert!(failure.is_none(), "the node stopped: {failure:?}");
    }
}

/// In memory if possible.
fn home() -> TempDir {
    let made = match std::env::var_os("KEYMOOT_FUZZ_HOME") {
        Some(home) => tempfile::tempdir_in(home),
        None => tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()),
    };
    made.expect("a directory")
}

fn config(home: &Path) -> Config {
    let mut config = Config::default();
    let account = || ACCOUNT.parse().expect("an account");
    config.node.data_dir = home.join("data");
    config.cluster.peer_listen = ([127, 0, 0, 1], 0).into();
    config.cluster.peer_advertise = Some("127.0.0.1:9".parse().expect("an address"));
    config.cluster.ca_file = home.join("ca.pem");
    config.cluster.cert_file = home.join("node.pem");
    config.cluster.key_file = home.join("node-key.pem");
    config.cluster.founding_ca_key_file = Some(home.join("ca-key.pem"));
    config.cluster.apply_profile();
    config.raft.snapshot_log_entries = 5_000;
    config.raft.log_keep_entries = 500;
    config.store.cache_bytes = 8 << 20;
    config.store.hot_record_bytes = 1 << 20;
    config.store.log_cache_bytes = 1 << 20;
    config.disk.ballast_bytes = 0;
    config.disk.free_bytes_min = 0;
    config.http.loopback_passwords = true;
    config.packager.listen = Some(([127, 0, 0, 1], 2).into());
    config.packager.allow_list = vec!["127.0.0.0/8".parse().expect("a network")];
    config.packager.accounts = vec![format!("{ACCOUNT}={ACCOUNT}").try_into().expect("a partner")];
    config.license.clear_key_accounts = vec![account()];
    let entitlements = home.join("entitlements.toml");
    let everybody = format!("[[entitlement]]\naccount = \"{ACCOUNT}\"\nadapter = \"static\"\n");
    std::fs::write(&entitlements, everybody).expect("the file of those who decide about viewers");
    config.license.entitlements_file = Some(entitlements);
    config.limits.account_new_keys_per_day = NEW_KEYS_PER_DAY;
    // A wait would make what one input does depend on those before it.
    config.auth.wrong_credentials_max = 0;
    config
}

fn write_accounts(home: &Path, file: &Path) {
    let mut text = format!(
        "revision = 1\n[[account]]\nid = \"{ACCOUNT}\"\nca_systems = [\"OVP\"]\nallow_list = [\"127.0.0.0/8\"]\n\
         sha1 = \"unbound\"\nallow_unsigned_packagers = true\n"
    );
    for (name, scope, scheme, secret) in CREDENTIALS {
        secret_file::create(&home.join(name), secret.as_bytes()).expect("a key file");
        text.push_str(&format!(
            "[[account.credential]]\nname = \"{name}\"\nscope = \"{scope}\"\nscheme = \"{scheme}\"\nkey_file = \"{name}\"\n"
        ));
    }
    std::fs::write(file, text).expect("the accounts file");
}
