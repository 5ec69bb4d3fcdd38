//! Every key of the configuration, with its default.
//!
//! The order of sections and keys is the order in which `keymoot config show` prints them.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::LicenseServers;
use super::profile::NetworkProfile;
use super::values::{PackagerAccount, PeerAddress, WebOrigin, empty_is_none};
use crate::crypto::ClusterName;
use crate::model::{AccountId, NodeId};

/// The whole configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node.
    pub node: Node,
    /// The cluster it belongs to, and how nodes reach each other.
    pub cluster: Cluster,
    /// The API listener.
    pub http: Http,
    /// The listener for packagers that cannot sign.
    pub packager: Packager,
    /// Signed requests.
    pub auth: Auth,
    /// Licenses for players.
    pub license: License,
    /// The servers that licenses are asked of.
    pub license_servers: LicenseServers,
    /// Master keys.
    pub keys: Keys,
    /// Replication: batches, log, snapshots.
    pub raft: Raft,
    /// The store's memory.
    pub store: Store,
    /// The disk that holds the data directory.
    pub disk: Disk,
    /// Bounds on what waits.
    pub limits: Limits,
    /// Accounts that are applied at start.
    pub accounts: Accounts,
    /// Logging.
    pub log: Log,
}

/// This node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The node's number in the cluster, never reused for another node.
    pub id: NodeId,
    /// Where log, store and snapshots live.
    pub data_dir: PathBuf,
    /// The data centre or rack, for people and logs.
    pub zone: String,
}

impl Default for Node {
    fn default() -> Self {
        Self { id: 1, data_dir: "/var/lib/keymoot".into(), zone: String::new() }
    }
}

/// The cluster, and how its nodes reach each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The cluster's name, which stands in every certificate.
    pub name: ClusterName,
    /// Where peers connect to.
    pub peer_listen: SocketAddr,
    /// What other nodes dial; none means `peer_listen`.
    #[serde(with = "empty_is_none")]
    pub peer_advertise: Option<PeerAddress>,
    /// The cluster's CA certificate, PEM.
    pub ca_file: PathBuf,
    /// This node's certificate, PEM.
    pub cert_file: PathBuf,
    /// This node's private key, PEM; a secret file.
    pub key_file: PathBuf,
    /// The CA's private key, PEM; a secret file. Only on the node that founds the cluster.
    #[serde(with = "empty_is_none")]
    pub founding_ca_key_file: Option<PathBuf>,
    /// Which network the times below are made for.
    pub profile: NetworkProfile,
    /// How often the leader says that it lives; 0 leaves it to the profile.
    pub heartbeat_ms: u64,
    /// The shortest silence after which a follower stands for election; 0 leaves it to the profile.
    pub election_timeout_min_ms: u64,
    /// The longest such silence; each node draws one in between. 0 leaves it to the profile.
    pub election_timeout_max_ms: u64,
    /// How long a request waits for a quorum before it is answered 503.
    pub request_deadline_ms: u64,
    /// How long connecting to a peer may take; 0 leaves it to the profile.
    pub connect_timeout_ms: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: default_cluster_name(),
            peer_listen: SocketAddr::from(([127, 0, 0, 1], 9081)),
            peer_advertise: None,
            ca_file: "/etc/keymoot/tls/ca.pem".into(),
            cert_file: "/etc/keymoot/tls/node.pem".into(),
            key_file: "/etc/keymoot/tls/node-key.pem".into(),
            founding_ca_key_file: None,
            profile: NetworkProfile::Lan,
            heartbeat_ms: 0,
            election_timeout_min_ms: 0,
            election_timeout_max_ms: 0,
            request_deadline_ms: 10_000,
            connect_timeout_ms: 0,
        }
    }
}

#[allow(clippy::expect_used)] // A literal that is checked by every test of this room.
fn default_cluster_name() -> ClusterName {
    ClusterName::new("keymoot").expect("a valid literal")
}

impl Cluster {
    /// What other nodes dial to reach this one.
    pub fn peer_address(&self) -> PeerAddress {
        self.peer_advertise.clone().unwrap_or_else(|| self.peer_listen.into())
    }
}

/// The API listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where scramblers and players connect to.
    pub listen: SocketAddr,
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    /// The certificate chain, PEM; none means plain HTTP.
    #[serde(with = "empty_is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM; a secret file.
    #[serde(with = "empty_is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// The authority of client certificates, PEM; none means that clients show none.
    #[serde(with = "empty_is_none")]
    pub tls_client_ca_file: Option<PathBuf>,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// The largest body of a bulk request.
    pub max_bulk_body_bytes: usize,
    /// Bodies of bulk requests held before they are authenticated, all together.
    pub unproved_bulk_bytes_max: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The most connections one worker holds open.
    pub connections_per_worker_max: usize,
    /// How long an idle connection is kept open.
    pub keep_alive_ms: u64,
    /// How long a client may take to send its request line and headers.
    pub header_timeout_ms: u64,
    /// How long a whole body may take.
    pub body_timeout_ms: u64,
    /// How fast a body must come, counted from `header_timeout_ms` after its head on.
    pub body_bytes_per_s_min: u64,
    /// How long a client may take nothing of an answer before its connection is closed.
    pub write_timeout_ms: u64,
    /// How long running requests may finish after a stop was asked for.
    pub drain_timeout_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            workers: 0,
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
            max_body_bytes: 65_536,
            max_bulk_body_bytes: 4 * 1024 * 1024,
            unproved_bulk_bytes_max: 64 * 1024 * 1024,
            trusted_proxies: Vec::new(),
            connections_per_worker_max: 10_000,
            keep_alive_ms: 75_000,
            header_timeout_ms: 5_000,
            body_timeout_ms: 180_000,
            body_bytes_per_s_min: 4096,
            write_timeout_ms: 30_000,
            drain_timeout_ms: 12_000,
        }
    }
}

impl Http {
    /// How many worker threads there are.
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

/// The listener for packagers that cannot sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packager {
    /// Where packagers connect to; none means that there is no such listener.
    #[serde(with = "empty_is_none")]
    pub listen: Option<SocketAddr>,
    /// The certificate chain, PEM; none means plain HTTP.
    #[serde(with = "empty_is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM; a secret file.
    #[serde(with = "empty_is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// The authority of packagers' certificates, PEM; with it, each must show one of its account's.
    #[serde(with = "empty_is_none")]
    pub tls_client_ca_file: Option<PathBuf>,
    /// Networks whose addresses may connect. Empty: none, or where certificates are demanded, all.
    pub allow_list: Vec<IpNet>,
    /// Which partner is which account.
    pub accounts: Vec<PackagerAccount>,
}

/// Signed requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// How long a message signature is good after it was made.
    pub signature_lifetime_s: u64,
    /// How far the clocks of clients and nodes may differ.
    pub clock_skew_s: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self { signature_lifetime_s: 300, clock_skew_s: 30 }
    }
}

/// Licenses for players.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct License {
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

/// Replication: batches, log, snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raft {
    /// The most commands in one proposal.
    pub batch_commands_max: usize,
    /// The most proposals that wait for their commit at once.
    pub batches_in_flight_max: usize,
    /// The most entries in one message to a follower.
    pub append_entries_max: u64,
    /// A snapshot is made after so many new entries; while a node is sent one, after ten times as many at most.
    pub snapshot_log_entries: u64,
    /// Entries kept behind a snapshot, for followers that lag a little.
    pub log_keep_entries: u64,
    /// How fast a snapshot is sent to a follower.
    pub snapshot_rate_bytes_per_s: u64,
}

impl Default for Raft {
    fn default() -> Self {
        Self {
            batch_commands_max: 1024,
            batches_in_flight_max: 2,
            append_entries_max: 1024,
            snapshot_log_entries: 100_000,
            log_keep_entries: 20_000,
            snapshot_rate_bytes_per_s: 64 * 1024 * 1024,
        }
    }
}

/// The store's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The store's block cache.
    pub cache_bytes: u64,
    /// Records that were read lately, kept by themselves.
    pub hot_record_bytes: u64,
    /// Log entries kept in memory for followers.
    pub log_cache_bytes: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            cache_bytes: 128 * 1024 * 1024,
            hot_record_bytes: 32 * 1024 * 1024,
            log_cache_bytes: 64 * 1024 * 1024,
        }
    }
}

/// The disk that holds the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// With less free than this the node is read-only; at most a twentieth of the disk.
    pub free_bytes_min: u64,
    /// Kept in a file to start from when the disk is full; at most a hundredth of the disk.
    pub ballast_bytes: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self { free_bytes_min: 256 * 1024 * 1024, ballast_bytes: 64 * 1024 * 1024 }
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            authenticator_mailbox: 4096,
            provider_mailbox: 4096,
            proposer_mailbox: 8192,
            read_mailbox: 8192,
        }
    }
}

/// Accounts that are applied at start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// The accounts file; none means that accounts come from `keymoot account add` only.
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
