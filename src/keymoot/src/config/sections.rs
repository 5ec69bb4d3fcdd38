//! Every key of the configuration, with its default; the sections that a crate reads stand in that crate.
//!
//! The order of sections and keys is the order in which `keymoot config show` prints them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use keymoot_audit::AuditSettings;
use keymoot_cluster::settings::{
    ClusterSection, ClusterSettings, DiskSection, NodeSection, RaftSection, StoreSection,
};
use keymoot_http::settings::{
    Authority, Http, HttpSettings, LicenseBase, Packager, WebOrigin, open_metrics, plain_http,
};
use keymoot_license::settings::LicenseServerSettings;
use keymoot_model::{AccountId, empty_is_none};
use keymoot_service::{AccountLimitSettings, AccountNumber};
use keymoot_shipping::ReceiverSettings;
use serde::{Deserialize, Serialize};

/// The whole configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node.
    pub node: NodeSection,
    /// The cluster it belongs to, and how nodes reach each other.
    pub cluster: ClusterSection,
    /// The API listener.
    pub http: Http,
    /// The listener for packagers that cannot sign.
    pub packager: Packager,
    /// Operators.
    pub admin: Admin,
    /// Signed requests.
    pub auth: Auth,
    /// Licenses for players.
    pub license: License,
    /// The servers that licenses are asked of.
    pub license_servers: LicenseServerSettings,
    /// Master keys.
    pub keys: Keys,
    /// Replication: batches, log, snapshots.
    pub raft: RaftSection,
    /// The store's memory.
    pub store: StoreSection,
    /// The disk that holds the data directory.
    pub disk: DiskSection,
    /// The audit log, and who receives it.
    pub audit: Audit,
    /// Bounds on what waits.
    pub limits: Limits,
    /// The accounts of a new cluster.
    pub accounts: Accounts,
    /// Logging.
    pub log: Log,
}

impl Config {
    /// What the cluster is set up with.
    pub fn cluster_settings(&self) -> ClusterSettings {
        ClusterSettings {
            node: self.node.clone(),
            cluster: self.cluster.clone(),
            raft: self.raft.clone(),
            store: self.store.clone(),
            disk: self.disk.clone(),
            audit: self.audit.log.clone(),
            waiting_commands_max: self.limits.proposer_mailbox,
            waiting_reads_max: self.limits.read_mailbox,
            notices: plain_http(&self.http_settings())
                .into_iter()
                .map(|plain| format!("{}; {}", plain.problem(), plain.remedy()))
                .chain(
                    open_metrics(&self.http_settings())
                        .map(|open| format!("{}; {}", open.problem(), open.remedy())),
                )
                .chain(self.audit.receiver.iter().filter(|receiver| receiver.is_in_the_clear()).map(|receiver| {
                    format!(
                        "receiver \"{}\" of the audit at {} is sent events in the clear; set tls = true for it, or send \
                         them through a receiver on this machine that has TLS",
                        receiver.name,
                        receiver.place()
                    )
                }))
                .chain(self.takes_any_authority().then(|| format!("{ANY_AUTHORITY}; {LIST_AUTHORITIES}")))
                .collect(),
            founding_operator: None,
        }
    }

    /// What accounts may.
    pub fn account_limits(&self) -> AccountLimitSettings {
        AccountLimitSettings {
            requests_per_s: self.limits.account_requests_per_s,
            requests_per_s_of: self.limits.account_requests_per_s_of.clone(),
            new_keys_per_day: self.limits.account_new_keys_per_day,
            new_keys_per_day_of: self.limits.account_new_keys_per_day_of.clone(),
            patience: Duration::from_millis(self.cluster.request_deadline_ms),
        }
    }

    /// Whether signatures for whatever server are taken beyond this machine, as configurations from before have it.
    pub fn takes_any_authority(&self) -> bool {
        self.auth.authorities.is_empty() && !self.http.listen.ip().is_loopback()
    }

    /// What the listeners are set up with.
    pub fn http_settings(&self) -> HttpSettings {
        HttpSettings {
            http: self.http.clone(),
            packager: self.packager.clone(),
            waiting_checks_max: self.limits.authenticator_mailbox,
        }
    }
}

/// What is wrong where no authority is listed.
pub const ANY_AUTHORITY: &str =
    "auth.authorities is empty: a request that was signed for another server and is relayed here is taken";
/// What to do about it.
pub const LIST_AUTHORITIES: &str =
    "set auth.authorities to the names by which clients ask for this server, such as [\"keys.example.net\"]";

/// The audit log of this node, and who receives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The log.
    #[serde(flatten)]
    pub log: AuditSettings,
    /// Receivers elsewhere.
    pub receiver: Vec<ReceiverSettings>,
}

/// Operators: their listener, and the credential of commands that are typed on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where operators connect to; none means that there is no such listener.
    #[serde(with = "empty_is_none")]
    pub listen: Option<SocketAddr>,
    /// The operator's credential of commands with this configuration; a secret file. None: they prove the
    /// keyring over the peer port.
    #[serde(with = "empty_is_none")]
    pub credential_file: Option<PathBuf>,
}

/// Signed requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The names by which clients ask for this server, which message signatures must be for; none: any.
    pub authorities: Vec<Authority>,
    /// How long a message signature is good after it was made.
    pub signature_lifetime_s: u64,
    /// How far the clocks of clients and nodes may differ.
    pub clock_skew_s: u64,
    /// For how long a node that is cut off from the quorum goes on serving accounts that read locally.
    pub cut_off_grants_s: u64,
    /// Wrong credentials in a row, from one address for one account, that nobody waits after; 0: nobody ever waits.
    pub wrong_credentials_max: u32,
    /// The longest wait for whoever showed more.
    pub back_off_max_s: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            authorities: Vec::new(),
            signature_lifetime_s: 300,
            clock_skew_s: 30,
            cut_off_grants_s: 86_400,
            wrong_credentials_max: 10,
            back_off_max_s: 60,
        }
    }
}

/// Licenses for players.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct License {
    /// Where players ask for licenses whose account has no license URL of its own; none: this server, by the name
    /// that the request asked for.
    #[serde(with = "empty_is_none")]
    pub url: Option<LicenseBase>,
    /// Accounts whose content may be licensed by Clear Key, which hands keys out in the clear.
    pub clear_key_accounts: Vec<AccountId>,
    /// Sites whose pages may send credentials with license requests; empty: any page may ask, without.
    pub allowed_origins: Vec<WebOrigin>,
    /// Who decides whether a viewer gets a license; none: nobody gets one.
    #[serde(with = "empty_is_none")]
    pub entitlements_file: Option<PathBuf>,
    /// PEM certificates of the authorities that may vouch for the servers asked; none: those of the
    /// public web.
    #[serde(with = "empty_is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Master keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The keyring; a secret file, the same on every node.
    pub keyring_file: PathBuf,
}

impl Default for Keys {
    fn default() -> Self {
        Self { keyring_file: "/etc/keymoot/keyring.toml".into() }
    }
}

/// Bounds on what waits. A full mailbox is answered 503 with Retry-After.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests that wait for their signature check.
    pub authenticator_mailbox: usize,
    /// Requests about many keys that wait for the DRM systems.
    pub provider_mailbox: usize,
    /// Commands that wait for a proposal.
    pub proposer_mailbox: usize,
    /// Reads that wait for the read barrier.
    pub read_mailbox: usize,
    /// Requests a second of one account; 0: no limit.
    pub account_requests_per_s: u32,
    /// The same for single accounts.
    pub account_requests_per_s_of: Vec<AccountNumber>,
    /// New keys a day of one account; 0: no limit.
    pub account_new_keys_per_day: u32,
    /// The same for single accounts.
    pub account_new_keys_per_day_of: Vec<AccountNumber>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            authenticator_mailbox: 4096,
            provider_mailbox: 4096,
            proposer_mailbox: 8192,
            read_mailbox: 8192,
            account_requests_per_s: 0,
            account_requests_per_s_of: Vec::new(),
            account_new_keys_per_day: 0,
            account_new_keys_per_day_of: Vec::new(),
        }
    }
}

/// The accounts of a new cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// The accounts file that is applied to a cluster that never had an account; `keymoot account apply` applies it later.
    #[serde(with = "empty_is_none")]
    pub file: Option<PathBuf>,
}

/// This program's own words; of the libraries only what goes wrong.
const LOG_LEVEL: &str =
    "info,openraft=warn,fjall=warn,lsm_tree=warn,chunked_wal=warn,raft_log=warn,actix_server=warn";

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// A level, or a list such as `info,openraft=warn`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LOG_LEVEL.to_owned() }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}
