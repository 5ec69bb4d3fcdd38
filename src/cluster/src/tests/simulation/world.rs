//! The simulated cluster: its network, and for each node a disk and the running node.
//!
//! A node is the result of [`Cluster::start`], on a network and a log in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::settings::ClusterSettings;
use keymoot_audit::{AuditLog, NodeAudit};
use keymoot_crypto::Keyring;
use keymoot_crypto::PeerVersion;
use keymoot_model::ClusterName;
use keymoot_model::NodeId;
use keymoot_state::{ClusterIdentity, FEATURE_LEVEL, NodeFacts, TABLE_NAMES};
use keymoot_store::{Directory, Identity, Log, LogOptions, Tables, TablesOptions};
use keymoot_telemetry::Metrics;

use super::disk::{DiskCopy, SimulatedDisk, Stop};
use super::fate::Fate;
use super::network::SimulatedNetwork;
use super::run::Weakness;
use crate::cluster::Cluster;
use crate::divergence::scrub::ScrubSettings;
use crate::members::node_info::NodeInfo;
use crate::node::{Node, NodeParts};
use crate::ops::disk_watch::DiskWatch;
use crate::peer::fatal_signal::FatalSignal;
use crate::peer::feature_level::FeatureLevel;
use crate::peer::fence::Fence;
use crate::peer::final_stop::FinalStop;
use crate::peer::known_keys::KnownKeys;
use crate::peer::local_end::LocalEnd;
use crate::peer::peers::Peers;
use crate::peer::proof::Verifiers;
use crate::raft::Raft;
use crate::raft::config::raft_config;
use crate::raft::log_retention::LogRetention;
use crate::raft::snapshot_schedule::SnapshotSchedule;
use crate::raft::state_machine::StateMachine;
use crate::raft::state_view::StateView;
use crate::wire::admin::{AdminRequest, AdminResponse};
use crate::write::batcher::BatchLimits;

const CLUSTER: &str = "simulated";
/// How long a request waits for a quorum.
const PATIENCE: Duration = Duration::from_secs(6);
/// The time limit for a stopped node until all its tasks have ended.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

pub(crate) struct World {
    /// The feature level at which the cluster is initialized.
    level: u32,
    pub network: Arc<SimulatedNetwork>,
    machines: BTreeMap<NodeId, Machine>,
    config: ClusterSettings,
    keyring: Arc<Keyring>,
    _home: tempfile::TempDir,
}

struct Machine {
    home: PathBuf,
    disk: SimulatedDisk,
    running: Mutex<Option<Running>>,
}

/// The directory and the disk of a node, as they were.
pub(crate) struct Copy {
    home: PathBuf,
    disk: DiskCopy,
}

struct Running {
    directory: Weak<Directory>,
    node: Arc<Node>,
    cluster: Cluster,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    /// `count` machines with ids from 1, without running nodes.
    pub(crate) fn new(fate: &mut Fate, count: u64, weakness: Weakness) -> Self {
        let home = home();
        let mut config = ClusterSettings::default();
        config.cluster.heartbeat_ms = 200;
        config.cluster.election_timeout_min_ms = 600;
        config.cluster.election_timeout_max_ms = 1200;
        config.cluster.apply_profile();
        // Some clusters make snapshots all the time, some never.
        config.raft.snapshot_log_entries = *fate.one_of(&[60, 1_000_000]);
        config.raft.log_keep_entries = 20;
        let machine = |id: u64| Machine {
            home: home.path().join(id.to_string()),
            disk: SimulatedDisk::new(
                fate.fork(),
                weakness == Weakness::LyingDisks,
                weakness == Weakness::HushedVotes,
            ),
            running: Mutex::default(),
        };
        let version = match weakness {
            Weakness::ForgottenDirectories => PeerVersion::First,
            Weakness::ForgottenStarts => PeerVersion::Second,
            _ => PeerVersion::Fourth,
        };
        // Each level demands the version that all its builds speak.
        let level = match version {
            PeerVersion::First => 1,
            PeerVersion::Second => 2,
            PeerVersion::Third => 3,
            PeerVersion::Fourth => FEATURE_LEVEL,
        };
        let ids = 1..=count;
        Self {
            level,
            machines: ids.clone().zip(ids.map(machine)).collect(),
            network: SimulatedNetwork::new(fate.fork(), weakness == Weakness::RenumberedForwards, version),
            config,
            keyring: Arc::new(Keyring::generate().unwrap()),
            _home: home,
        }
    }

    /// Starts every node and initializes the cluster.
    pub(crate) async fn found(&self) {
        for id in self.ids() {
            self.start(id).await;
        }
        let members = self.ids().into_iter().map(|id| (id, format!("node-{id}:1"))).collect();
        let node = self.node(1).unwrap();
        match node
            .server
            .services
            .admin
            .administer(AdminRequest::Initialize(members), 1, ([127, 0, 0, 1], 1).into())
            .await
        {
            AdminResponse::Initialized(true) => {}
            other => panic!("the cluster did not begin: {other:?}"),
        }
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.machines.keys().copied().collect()
    }

    /// The node, if it runs.
    pub(crate) fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        self.running(id).as_ref().map(|running| running.node.clone())
    }

    /// All running nodes.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        self.ids().into_iter().filter_map(|id| self.node(id)).collect()
    }

    /// The service interface of each running node.
    pub(crate) fn clusters(&self) -> Vec<Cluster> {
        let of = |id| self.running(id).as_ref().map(|running| running.cluster.clone());
        self.ids().into_iter().filter_map(of).collect()
    }

    pub(crate) fn disk(&self, id: NodeId) -> &SimulatedDisk {
        &self.machines[&id].disk
    }

    fn running(&self, id: NodeId) -> MutexGuard<'_, Option<Running>> {
        self.machines[&id].running.lock().unwrap()
    }

    /// Starts a node on its disk.
    pub(crate) async fn start(&self, id: NodeId) {
        let machine = &self.machines[&id];
        let running = self.boot(id, machine).await;
        self.network.enter(running.node.clone());
        *self.running(id) = Some(running);
    }

    /// Stops a node without a shutdown. When this returns, only its disk is left.
    pub(crate) async fn stop(&self, id: NodeId, how: Stop) {
        let Some(Running { directory, node, cluster, tasks }) = self.running(id).take() else { return };
        self.network.leave(id);
        self.disk(id).stop(how);
        for task in tasks {
            task.abort();
        }
        // The node can neither send nor write any more, so its remaining work has no effect.
        let raft = timeout(ENDS_WITHIN, node.raft.shutdown()).await;
        let holders = Arc::downgrade(&node);
        drop((node, cluster));
        let until = Instant::now() + ENDS_WITHIN;
        while directory.strong_count() > 0 {
            assert!(
                Instant::now() < until,
                "node {id} was stopped and something of it still runs: {} hold the node, {} its directory, raft {raft:?}",
                holders.strong_count(),
                directory.strong_count()
            );
            sleep(Duration::from_millis(5)).await;
        }
        let machine = &self.machines[&id];
        if how == Stop::PowerCut && !machine.disk.was_purged() && has_first_tables(&machine.home) {
            // Only a snapshot syncs the tables, and the log holds everything that was in them.
            forget_tables(&machine.home);
        }
    }

    /// The data directory of a node.
    pub(crate) fn home(&self, id: NodeId) -> PathBuf {
        self.machines[&id].home.clone()
    }

    /// Deletes everything on the disk of a stopped node.
    pub(crate) fn empty(&self, id: NodeId) {
        std::fs::remove_dir_all(&self.machines[&id].home).unwrap();
        self.disk(id).empty();
    }

    /// A copy of the directory and the disk of a stopped node.
    pub(crate) fn copy(&self, id: NodeId) -> Copy {
        let home = self.machines[&id].home.with_extension("copy");
        copy_directory(&self.machines[&id].home, &home);
        Copy { home, disk: self.disk(id).copy() }
    }

    /// Sets a stopped node back to a copy.
    pub(crate) fn put_back(&self, id: NodeId, copy: Copy) {
        let home = &self.machines[&id].home;
        std::fs::remove_dir_all(home).unwrap();
        std::fs::rename(&copy.home, home).unwrap();
        self.disk(id).put_back(copy.disk);
    }

    async fn boot(&self, id: NodeId, machine: &Machine) -> Running {
        let config = &self.config;
        let metrics = Arc::new(Metrics::new().unwrap());
        let owner = Identity { cluster: CLUSTER.into(), node: id, fence: 0 };
        let directory = Arc::new(Directory::open(&machine.home, &owner).unwrap());
        let options = TablesOptions { cache_bytes: 1 << 20, write_buffer_bytes: 1 << 20, hot_bytes: 1 << 16 };
        let tables = Tables::open(directory.root(), TABLE_NAMES, options).unwrap();
        let state = StateView::new(tables.clone());
        // The fence asks the log whether the node belongs to a cluster, and only when fences
        // differ.
        let unused = LogOptions { cache_bytes: 1 << 16, chunk_bytes: 1 << 16, ..LogOptions::default() };
        let unused = Log::open(&directory.log(), unused).unwrap();
        let (_, disk) = DiskWatch::begin(directory.root(), &config.disk, metrics.clone()).unwrap();
        let ledger = machine.disk.ledger(id);
        let address = format!("node-{id}:1");
        let fence = Fence::new(directory.clone(), unused.clone(), ledger.clone(), state.clone(), &address);
        let machine_state =
            StateMachine::new(tables, state.clone(), directory.clone(), metrics.clone(), ledger.clone())
                .unwrap();
        let applied_index = machine_state.applied_index();
        let cluster: ClusterName = CLUSTER.parse().unwrap();
        let fatal = FatalSignal::default();
        let lease = Duration::from_millis(config.cluster.election_timeout_max_ms);
        let local = LocalEnd {
            cluster: cluster.clone(),
            node: Some(id),
            fence: Some(fence.clone()),
            keyring: self.keyring.clone(),
            verifiers: Verifiers::of(state.clone(), Vec::new()),
            feature_level: FeatureLevel::of(state.clone()),
            keys: KnownKeys::of(state.clone(), lease * 3),
            fatal: fatal.clone(),
            audit: NodeAudit { log: AuditLog::in_memory(), node: id },
        };
        let connect_timeout = Duration::from_millis(config.cluster.connect_timeout_ms);
        let peers = Peers::new(local.clone(), self.network.dial_of(id), connect_timeout);
        let log = machine.disk.boot(ledger.clone());
        let silent_until = log.has_voted().then(|| Instant::now() + lease);
        let log_retention = LogRetention::default();
        let network =
            crate::raft::network::Network::new(peers.clone(), 1 << 30, log_retention.clone(), ledger.clone());
        let raft = Raft::new(id, raft_config(config).unwrap(), network, log, machine_state).await.unwrap();
        let runtime = Handle::current();
        let parts = NodeParts {
            id,
            local,
            fence,
            peers,
            raft,
            ledger,
            state,
            applied_index,
            log: unused,
            snapshots: SnapshotSchedule::new(
                log_retention,
                config.raft.snapshot_log_entries,
                config.raft.log_keep_entries,
            ),
            directory: directory.clone(),
            disk,
            silent_until,
            identity: Some(ClusterIdentity {
                cluster: CLUSTER.into(),
                keyring_check: self.keyring.check_value(CLUSTER).unwrap(),
                feature_level: self.level,
            }),
            founding: None,
            info: Arc::new(info(id, &machine.home, lease)),
            certificate: Default::default(),
            renewal: None,
            final_stop: FinalStop::new(id, directory, fatal, metrics.clone()),
            scrub: ScrubSettings::of(&config.store),
            metrics,
            runtime: runtime.clone(),
        };
        let directory = Arc::downgrade(&parts.directory);
        let (node, tasks) = Node::assemble(parts).unwrap();
        let limits = BatchLimits {
            waiting_max: config.waiting_commands_max,
            batch_max: config.raft.batch_commands_max,
            in_flight_max: config.raft.batches_in_flight_max,
            pause_after: usize::MAX,
        };
        let cluster = Cluster::new(node.clone(), &runtime, limits, config.waiting_reads_max, PATIENCE);
        Running {
            directory,
            node,
            cluster,
            tasks: vec![
                tokio::spawn(tasks.monitor.run()),
                tokio::spawn(tasks.reconciler.run()),
                tokio::spawn(tasks.divergence_watch.run()),
            ],
        }
    }
}

fn info(id: NodeId, home: &Path, lease: Duration) -> NodeInfo {
    NodeInfo {
        facts: NodeFacts {
            zone: String::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            feature_level: FEATURE_LEVEL,
        },
        peer_address: format!("node-{id}:1"),
        peer_hints: Vec::new(),
        data_dir: home.to_owned(),
        tls: None,
        certificate_life: Duration::ZERO,
        notices: Vec::new(),
        replaces: None,
        silence: lease * 3,
    }
}

/// Whether the tables are those that the node began with, and not a received snapshot.
fn has_first_tables(home: &Path) -> bool {
    std::fs::read_to_string(home.join("CURRENT")).is_ok_and(|current| current.trim() == "state-1")
}

fn forget_tables(home: &Path) {
    std::fs::remove_file(home.join("CURRENT")).unwrap();
    std::fs::remove_dir_all(home.join("state-1")).unwrap();
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_directory(&entry.path(), &to),
            false => std::fs::copy(entry.path(), to).map(drop).unwrap(),
        }
    }
}

/// In memory if possible: simulated time makes the tables sync more often than real ones.
fn home() -> tempfile::TempDir {
    let shared_memory = Path::new("/dev/shm");
    match tempfile::tempdir_in(shared_memory) {
        Ok(home) => home,
        Err(_) => tempfile::tempdir().unwrap(),
    }
}
