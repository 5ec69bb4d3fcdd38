//! How a cluster does with many keys: loading, restart, memory, disk, and a node that gets a snapshot.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::raw::{self, percent_encode};
use crate::wait::{self, wait_until};
use crate::{Cluster, Options, RigError, Signer, metrics};

/// Keys that one bulk request makes.
const BULK_ITEMS: u64 = 2000;
/// Clients that load keys at once.
const LOADERS: u64 = 6;
/// Long enough for many millions of keys on a slow disk.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// Log entries kept behind a snapshot, few, so that a node that was away needs one.
const LOG_KEEP: u64 = 100;

/// What was found with a number of keys.
pub struct Growth {
    /// How many.
    pub keys: u64,
    /// How long loading took.
    pub loading: Duration,
    /// From the start of a killed follower's process until it is ready.
    pub restart: Duration,
    /// From the start of all killed nodes until all are ready.
    pub restart_all: Duration,
    /// From the start of a node that lacks what is purged until it has caught up by snapshot.
    pub install: Duration,
    /// How often the term changed while it did.
    pub elections: f64,
    /// The longest that a request took meanwhile, and how many there were.
    pub slowest: Duration,
    /// Requests answered meanwhile.
    pub answered: u64,
    /// Requests that were not answered with a key meanwhile.
    pub failed: u64,
    /// Resident memory of the largest node at rest, after its restart.
    pub memory_bytes: f64,
    /// What the data of one node takes on its disk.
    pub disk_bytes: u64,
}

impl Growth {
    /// The figures for a machine.
    #[expect(clippy::cast_precision_loss, reason = "keys and bytes are far below 2^53")]
    pub fn to_json(&self) -> Value {
        json!({
            "keys": self.keys,
            "loaded_per_s": self.keys as f64 / self.loading.as_secs_f64(),
            "restart_s": self.restart.as_secs_f64(),
            "restart_all_s": self.restart_all.as_secs_f64(),
            "snapshot_install_s": self.install.as_secs_f64(),
            "elections_meanwhile": self.elections,
            "slowest_answer_meanwhile_ms": self.slowest.as_secs_f64() * 1000.0,
            "answers_meanwhile": self.answered,
            "failed_meanwhile": self.failed,
            "memory_mib": self.memory_bytes / 1_048_576.0,
            "disk_bytes_per_key": self.disk_bytes as f64 / self.keys.max(1) as f64,
        })
    }
}

/// Loads so many keys into a cluster of its own and measures it.
///
/// # Errors
/// When a node does not answer, or does not come back.
pub fn measure(keys: u64) -> Result<Growth, RigError> {
    let mut cluster = Options::default()
        .env("KEYMOOT__RAFT__LOG_KEEP_ENTRIES", &LOG_KEEP.to_string())
        .env("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "1000")
        .start()?;
    let loading = load(&cluster, keys)?;
    let leader = cluster.leader()?;
    let away = cluster.others(leader).first().copied().unwrap_or(leader);
    cluster.await_caught_up(away)?;

    cluster.kill(away)?;
    let restart = timed(|| {
        cluster.restart(away)?;
        ready(cluster.node(away)?.api)
    })?;
    let (install, elections, seen) = install_by_snapshot(&mut cluster, away)?;

    cluster.kill_all()?;
    let restart_all = timed(|| {
        cluster.restart_all()?;
        cluster.addresses().into_iter().try_for_each(ready)
    })?;
    wait::pause(Duration::from_secs(3))?;
    let memory =
        cluster.addresses().into_iter().map(|node| metrics::sample(node, "process_resident_memory_bytes"));
    let memory_bytes = memory.collect::<Result<Vec<_>, _>>()?.into_iter().fold(0.0, f64::max);
    let disk_bytes = bytes_under(&cluster.node(leader)?.dir);
    Ok(Growth {
        keys,
        loading,
        restart,
        restart_all,
        install,
        elections,
        slowest: seen.slowest,
        answered: seen.answered,
        failed: seen.failed,
        memory_bytes,
        disk_bytes,
    })
}

fn load(cluster: &Cluster, keys: u64) -> Result<Duration, RigError> {
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let next = AtomicU64::new(0);
    timed(|| {
        std::thread::scope(|scope| {
            let loaders: Vec<_> =
                (0..LOADERS).map(|_| scope.spawn(|| load_batches(signer, &nodes, &next, keys))).collect();
            loaders.into_iter().try_for_each(|loader| {
                loader.join().map_err(|_| RigError::Program("a loader panicked".to_owned()))?
            })
        })
    })
}

fn load_batches(signer: &Signer, nodes: &[SocketAddr], next: &AtomicU64, keys: u64) -> Result<(), RigError> {
    let head =
        json!({"bulk": 1, "ca_system": signer.ca_system, "account_id": signer.account_id, "keys": false});
    loop {
        wait::not_interrupted()?;
        let first = next.fetch_add(BULK_ITEMS, Ordering::Relaxed);
        if first >= keys {
            return Ok(());
        }
        let mut body = format!("{head}\n");
        for key in first..keys.min(first + BULK_ITEMS) {
            body.push_str(&format!("{{\"content_id\":\"library/film-{key}.mp4\"}}\n"));
        }
        let turn = usize::try_from(first / BULK_ITEMS).unwrap_or(0);
        let node = nodes.get(turn % nodes.len().max(1)).copied();
        let node = node.ok_or_else(|| RigError::Program("there is no node".to_owned()))?;
        let target = format!("/bulk?signature={}", percent_encode(&signer.signature(body.as_bytes())));
        let request = raw::request("POST", &target, &[("Connection", "close")], body.as_bytes());
        let answer = raw::exchange_streamed(node, &request, Duration::from_secs(60))?;
        let text = String::from_utf8_lossy(&answer.body);
        let summary = text.lines().last().unwrap_or_default();
        if !summary.contains("\"errors\":0") {
            return Err(RigError::Answer(format!("a bulk request failed: {summary}")));
        }
    }
}

/// What clients saw of an installation.
#[derive(Default)]
struct Seen {
    slowest: Duration,
    answered: u64,
    failed: u64,
}

fn install_by_snapshot(cluster: &mut Cluster, away: u64) -> Result<(Duration, f64, Seen), RigError> {
    let node = cluster.node(away)?.api;
    let last_known = metrics::sample(node, metrics::LAST_LOG_INDEX)?;
    cluster.kill(away)?;
    let survivors: Vec<SocketAddr> =
        cluster.nodes().iter().filter(|node| node.id != away).map(|node| node.api).collect();
    let signer = cluster.signer().clone();
    for survivor in &survivors {
        let mut serial = 0;
        while metrics::sample(*survivor, metrics::PURGED_INDEX)? <= last_known + 1.0 {
            wait::not_interrupted()?;
            for _ in 0..100 {
                signer.create(*survivor, &format!("missed-{survivor}-{serial}.mp4"))?;
                serial += 1;
            }
        }
    }
    let term = || metrics::sample(survivors.first().copied().unwrap_or(node), "keymoot_raft_term");
    let before = term()?;
    let stop = AtomicBool::new(false);
    let (install, seen) = std::thread::scope(|scope| {
        let client = scope.spawn(|| keep_asking(&signer, &survivors, &stop));
        let install = timed(|| {
            cluster.restart(away)?;
            cluster.await_caught_up(away)?;
            ready(node)
        });
        stop.store(true, Ordering::Relaxed);
        let seen = client.join().map_err(|_| RigError::Program("a client panicked".to_owned()));
        Ok::<_, RigError>((install?, seen?))
    })?;
    Ok((install, term()? - before, seen))
}

fn keep_asking(signer: &Signer, nodes: &[SocketAddr], stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    for (serial, node) in (0_u64..).zip(nodes.iter().cycle()) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        match signer.create(*node, &format!("meanwhile-{serial}.mp4")) {
            Ok(_) => seen.answered += 1,
            Err(_) => seen.failed += 1,
        }
        seen.slowest = seen.slowest.max(began.elapsed());
        std::thread::sleep(Duration::from_millis(10));
    }
    seen
}

fn ready(node: SocketAddr) -> Result<(), RigError> {
    wait_until("a node to be ready", READY_WITHIN, || {
        let answer = raw::exchange(node, &raw::request("GET", "/readyz", &[], &[]), Duration::from_secs(5))?;
        match answer.status {
            200 => Ok(()),
            _ => Err(RigError::Answer(answer.text())),
        }
    })
}

fn timed(work: impl FnOnce() -> Result<(), RigError>) -> Result<Duration, RigError> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

fn bytes_under(directory: &Path) -> u64 {
    let files = crate::search::files_under(directory).unwrap_or_default();
    files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|data| data.len()).sum()
}
