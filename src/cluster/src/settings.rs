//! The settings of a node's cluster: the configuration's sections that this crate reads, each key
//! with its default.

mod member_address;
mod peer_address;
mod profile;
mod verifier_text;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use keymoot_audit::AuditSettings;
use keymoot_model::ClusterName;
use keymoot_model::{Fingerprint, NodeId, OperatorName, empty_is_none};
use keymoot_tls::PeerTlsFiles;
use serde::{Deserialize, Serialize};

pub use member_address::MemberAddress;
pub use peer_address::{PeerAddress, PeerAddressError};
pub use profile::NetworkProfile;
pub use verifier_text::{VerifierText, VerifierTextError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    pub node: NodeSection,
    /// The cluster of the node, and how its nodes reach each other.
    pub cluster: ClusterSection,
    /// Replication: batches, log, snapshots.
    pub raft: RaftSection,
    pub store: StoreSection,
    /// The disk that holds the data directory.
    pub disk: DiskSection,
    pub audit: AuditSettings,
    /// The most commands that wait for a proposal.
    pub waiting_commands_max: usize,
    /// The most reads that wait for the read barrier.
    pub waiting_reads_max: usize,
    /// What the node's configuration permits and should not, each as `problem; remedy`, for `cluster status`.
    pub notices: Vec<String>,
    /// The operator that a cluster which this node founds begins with.
    pub founding_operator: Option<FoundingOperator>,
}

/// The first operator of a new cluster, by the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundingOperator {
    pub name: OperatorName,
    pub fingerprint: Fingerprint,
    /// The certificate's end: seconds since 1970 UTC.
    pub expires_at_s: u64,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            node: NodeSection::default(),
            cluster: ClusterSection::default(),
            raft: RaftSection::default(),
            store: StoreSection::default(),
            disk: DiskSection::default(),
            audit: AuditSettings::default(),
            waiting_commands_max: 8192,
            waiting_reads_max: 8192,
            notices: Vec::new(),
            founding_operator: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    /// The node's number in the cluster, never reused for another node.
    pub id: NodeId,
    /// The directory of log, store and snapshots.
    pub data_dir: PathBuf,
    /// The data centre or rack, for people and logs.
    pub zone: String,
    /// The node is a witness: it votes and holds the log, serves no client and has no keyring.
    pub witness: bool,
    /// What tells a witness who holds a master key, as ID=PUBLICKEY, until its own state does; `keymoot
    /// cluster join` writes it.
    pub verifiers: Vec<VerifierText>,
}

impl Default for NodeSection {
    fn default() -> Self {
        let (zone, verifiers) = (String::new(), Vec::new());
        Self { id: 1, data_dir: "/var/lib/keymoot".into(), zone, witness: false, verifiers }
    }
}

/// The cluster, and how its nodes reach each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSection {
    /// The cluster's name, which is in every certificate.
    pub name: ClusterName,
    /// The address on which peers connect.
    pub peer_listen: SocketAddr,
    /// The address that other nodes dial; `None` means `peer_listen`.
    #[serde(with = "empty_is_none")]
    pub peer_advertise: Option<PeerAddress>,
    /// Addresses of other nodes, tried beside those that the cluster knows: for a node that never
    /// heard of the others, or when all nodes have moved.
    pub peer_hints: Vec<MemberAddress>,
    /// The cluster's CA certificate, PEM.
    pub ca_file: PathBuf,
    /// This node's certificate, PEM.
    pub cert_file: PathBuf,
    /// This node's private key, PEM; a secret file.
    pub key_file: PathBuf,
    /// The CA's private key, PEM; a secret file. Only on the node that initializes the cluster, or on
    /// one that is restored under a new CA.
    #[serde(with = "empty_is_none")]
    pub founding_ca_key_file: Option<PathBuf>,
    /// How long certificates of nodes are valid that this node makes: for itself, from a third of that time
    /// before the end on, and for nodes that join.
    pub certificate_life_days: u64,
    /// The network that the default times below suit.
    pub profile: NetworkProfile,
    /// How often the leader sends heartbeats; 0 means the profile's value.
    pub heartbeat_ms: u64,
    /// The shortest silence after which a follower stands for election; 0 means the profile's
    /// value.
    pub election_timeout_min_ms: u64,
    /// The longest such silence; each node draws one in between. 0 means the profile's value.
    pub election_timeout_max_ms: u64,
    /// How long a request waits for a quorum before it is answered 503.
    pub request_deadline_ms: u64,
    /// How long connecting to a peer may take; 0 means the profile's value.
    pub connect_timeout_ms: u64,
    /// The most connections to the peer port that have proved nothing yet.
    pub unproved_connections_max: usize,
    /// The most of them from one address.
    pub unproved_connections_per_address_max: usize,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            name: default_cluster_name(),
            peer_listen: SocketAddr::from(([127, 0, 0, 1], 9081)),
            peer_advertise: None,
            peer_hints: Vec::new(),
            ca_file: "/etc/keymoot/tls/ca.pem".into(),
            cert_file: "/etc/keymoot/tls/node.pem".into(),
            key_file: "/etc/keymoot/tls/node-key.pem".into(),
            founding_ca_key_file: None,
            certificate_life_days: 90,
            profile: NetworkProfile::Lan,
            heartbeat_ms: 0,
            election_timeout_min_ms: 0,
            election_timeout_max_ms: 0,
            request_deadline_ms: 10_000,
            connect_timeout_ms: 0,
            unproved_connections_max: 64,
            unproved_connections_per_address_max: 16,
        }
    }
}

#[allow(clippy::expect_used)] // A literal that is checked by every test of this crate.
fn default_cluster_name() -> ClusterName {
    ClusterName::new("keymoot").expect("a valid literal")
}

impl ClusterSection {
    /// The address that other nodes dial to reach this one.
    pub fn peer_address(&self) -> PeerAddress {
        self.peer_advertise.clone().unwrap_or_else(|| self.peer_listen.into())
    }

    /// How long certificates of nodes are valid.
    pub(crate) const fn certificate_life(&self) -> Duration {
        Duration::from_secs(self.certificate_life_days.saturating_mul(24 * 3600))
    }

    /// The node's certificate, its key, and the authorities that it trusts.
    pub(crate) fn peer_tls_files(&self) -> PeerTlsFiles {
        let (ca, cert, key) = (self.ca_file.clone(), self.cert_file.clone(), self.key_file.clone());
        PeerTlsFiles { ca, cert, key }
    }
}

/// Replication: batches, log, snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaftSection {
    /// The most commands in one proposal.
    pub batch_commands_max: usize,
    /// The most proposals that wait for their commit at once.
    pub batches_in_flight_max: usize,
    /// The most entries in one message to a follower.
    pub append_entries_max: u64,
    /// The number of new entries after which a snapshot is made. While a node is sent a snapshot,
    /// the next one may wait for ten times as many.
    pub snapshot_log_entries: u64,
    /// Entries kept before a snapshot's position, for followers that lag a little.
    pub log_keep_entries: u64,
    /// How fast a snapshot is sent to a follower.
    pub snapshot_rate_bytes_per_s: u64,
}

impl RaftSection {
    /// The most commands in one proposal that can be configured; leaders take no more from a follower.
    pub const BATCH_COMMANDS_MAX: usize = 100_000;
}

impl Default for RaftSection {
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSection {
    /// The store's block cache.
    pub cache_bytes: u64,
    /// The cache of recently read records.
    pub hot_record_bytes: u64,
    /// The cache of log entries for followers.
    pub log_cache_bytes: usize,
    /// The time between two checks of all records against their digest, in seconds; 0 checks none.
    pub scrub_interval_s: u64,
    /// How fast a check reads, in bytes per second.
    pub scrub_rate_bytes_per_s: u64,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            cache_bytes: 128 * 1024 * 1024,
            hot_record_bytes: 32 * 1024 * 1024,
            log_cache_bytes: 64 * 1024 * 1024,
            scrub_interval_s: 24 * 3600,
            scrub_rate_bytes_per_s: 8 * 1024 * 1024,
        }
    }
}

/// The disk that holds the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSection {
    /// With less free space than this the node is read-only; at most a twentieth of the disk.
    pub free_bytes_min: u64,
    /// The size of a file that reserves space for a start on a full disk; at most a hundredth of
    /// the disk.
    pub ballast_bytes: u64,
}

impl Default for DiskSection {
    fn default() -> Self {
        Self { free_bytes_min: 256 * 1024 * 1024, ballast_bytes: 64 * 1024 * 1024 }
    }
}
