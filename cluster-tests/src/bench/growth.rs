//! A cluster with many keys: loading, speed, restart, memory, disk, and a node that gets a
//! snapshot.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::catching_up::{self, CatchingUp};
use super::figures::Row;
use super::names::Name;
use super::rounds::{Rounds, Watched as _};
use super::traffic::Ring;
use super::usage::Usage;
use super::workloads::{Workload, creates};
use super::{filling, known};
use crate::wait::{self, wait_until};
use crate::{Cluster, Options, RigError, metrics, raw};

/// Long enough for many millions of keys on a slow disk.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(600);
/// Log entries kept before a snapshot's position: few, so that a node that was away needs the
/// snapshot.
const LOG_KEEP: u64 = 100;
/// Contents that reads choose among: more than a run requests, so that with many keys each is cold.
const ASKED_FOR_MAX: usize = 300_000;
/// The unit in which the kernel counts a file's blocks.
const BLOCK_BYTES: u64 = 512;
/// A cluster rests when its nodes together use less than this fraction of a core, or no less than
/// just before.
const RESTING_CORES: f64 = 0.1;
const RESTING_SHARE: f64 = 0.9;
const RESTING_WITHIN: Duration = Duration::from_secs(120);

/// The amount of measurement at each size.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The number of clients of reads and creates.
    pub clients: usize,
    /// Rounds of each; the median counts.
    pub rounds: usize,
    /// The measured time of each round.
    pub measured: Duration,
}

/// The measurements with a number of keys.
pub struct Growth {
    keys: u64,
    loading: Duration,
    rows: Vec<Row>,
    /// From the start of a killed follower's process until it is ready.
    restart: Duration,
    /// From the start of all killed nodes until all are ready.
    restart_all: Duration,
    catching_up: CatchingUp,
    /// Resident memory of the largest node after the load, and at rest after its restart.
    memory_bytes: [f64; 2],
    /// The size of one node's data on its disk.
    disk_bytes: u64,
}

impl Growth {
    /// The figures as JSON.
    #[expect(clippy::cast_precision_loss, reason = "keys and bytes are far below 2^53")]
    pub fn to_json(&self) -> Value {
        let [loaded, at_rest] = self.memory_bytes.map(|bytes| bytes / 1_048_576.0);
        json!({
            "keys": self.keys,
            "loaded_per_s": self.keys as f64 / self.loading.as_secs_f64(),
            "restart_s": self.restart.as_secs_f64(),
            "restart_all_s": self.restart_all.as_secs_f64(),
            "snapshot": self.catching_up.to_json(),
            "memory_loaded_mib": loaded,
            "memory_mib": at_rest,
            "disk_bytes_per_key": self.disk_bytes as f64 / self.keys.max(1) as f64,
            "figures": self.rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        })
    }
}

/// Loads so many keys into a new cluster and measures it.
///
/// # Errors
/// When the disk has too little space, or a node does not answer or does not come back.
pub fn measure(keys: u64, plan: Plan) -> Result<Growth, RigError> {
    let mut cluster = Options::default()
        .env("KEYMOOT__RAFT__LOG_KEEP_ENTRIES", &LOG_KEEP.to_string())
        .env("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "1000")
        .start()?;
    filling::there_is_room(&cluster, keys)?;
    let loading = filling::fill(&cluster, keys)?;
    eprintln!("{keys} keys were loaded in {:.0} s; waiting until the nodes rest …", loading.as_secs_f64());
    rest(&cluster)?;
    let loaded_bytes = memory_bytes(&cluster)?;
    let rows = speeds(&cluster, keys, plan)?;

    eprintln!("restarting a node …");
    let leader = cluster.leader()?;
    let away = cluster.others(leader).first().copied().unwrap_or(leader);
    cluster.await_caught_up(away)?;
    cluster.kill(away)?;
    let restart = timed(|| {
        cluster.restart(away)?;
        ready(cluster.node(away)?.api)
    })?;
    eprintln!("letting it miss so much that it needs a snapshot …");
    let catching_up = catching_up::measure(&mut cluster, away)?;

    eprintln!("restarting all …");
    cluster.kill_all()?;
    let restart_all = timed(|| {
        cluster.restart_all()?;
        cluster.addresses().into_iter().try_for_each(ready)
    })?;
    rest(&cluster)?;
    let memory_bytes = [loaded_bytes, memory_bytes(&cluster)?];
    let disk_bytes = bytes_under(&cluster.node(leader)?.dir)?;
    Ok(Growth { keys, loading, rows, restart, restart_all, catching_up, memory_bytes, disk_bytes })
}

/// The speed of reads of keys drawn from all, and of creates.
fn speeds(cluster: &Cluster, keys: u64, plan: Plan) -> Result<Vec<Row>, RigError> {
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let reads = Arc::new(Ring(known::reads(signer, &filling::some(keys, ASKED_FOR_MAX))));
    let workloads = [
        Workload::http(Name::Read, nodes.clone(), reads),
        Workload::http(Name::Create, nodes, creates(signer, Name::Create)),
    ];
    let mut rounds = Rounds {
        watched: cluster,
        count: plan.rounds,
        warm_up: plan.measured.min(Duration::from_secs(1)),
        measured: plan.measured,
        fsyncs_ms: Vec::new(),
    };
    rounds.measure(plan.clients, &workloads.each_ref(), |_| None)
}

/// Waits until the nodes have little to do: written data are merged in the background.
fn rest(cluster: &Cluster) -> Result<(), RigError> {
    let pids = cluster.pids(Name::Read.system())?;
    let used_in_two_seconds = || {
        let before = Usage::of(&pids)?;
        wait::pause(Duration::from_secs(2))?;
        Ok::<_, RigError>(Usage::of(&pids)?.since(before).cpu_s)
    };
    let began = Instant::now();
    let mut before_s = used_in_two_seconds()?;
    while began.elapsed() < RESTING_WITHIN {
        let now_s = used_in_two_seconds()?;
        // An unoptimised build uses more CPU at rest, but always the same amount.
        let is_idle = now_s < 2.0 * RESTING_CORES || (now_s < 1.0 && now_s > before_s * RESTING_SHARE);
        if is_idle {
            break;
        }
        before_s = now_s;
    }
    Ok(())
}

fn memory_bytes(cluster: &Cluster) -> Result<f64, RigError> {
    let of = |node| metrics::sample(node, "process_resident_memory_bytes");
    let all: Vec<f64> = cluster.addresses().into_iter().map(of).collect::<Result<_, _>>()?;
    Ok(all.into_iter().fold(0.0, f64::max))
}

/// Waits until a node is ready.
pub(super) fn ready(node: SocketAddr) -> Result<(), RigError> {
    wait_until("a node to be ready", READY_WITHIN, || {
        let answer = raw::exchange(node, &raw::request("GET", "/readyz", &[], &[]), Duration::from_secs(5))?;
        match answer.status {
            200 => Ok(()),
            _ => Err(RigError::Answer(answer.text())),
        }
    })
}

/// The duration of `work`.
pub(super) fn timed(work: impl FnOnce() -> Result<(), RigError>) -> Result<Duration, RigError> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

/// The size of a node's data on the disk, without the ballast, whose size is fixed.
fn bytes_under(directory: &Path) -> Result<u64, RigError> {
    let files = crate::search::files_under(directory)?;
    let data = files.iter().filter(|file| file.file_name().is_none_or(|name| name != "ballast"));
    let bytes = data.filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.blocks() * BLOCK_BYTES);
    Ok(bytes.sum())
}
