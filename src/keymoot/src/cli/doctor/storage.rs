//! The disk of the data directory: its room, how long it takes to keep a write, and whose data it has.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::finding::Finding;
use crate::config::Config;
use keymoot_cluster::{DiskState, Identity, Incarnation, JOIN_ANEW, StoreError};
use keymoot_command::Failure;

const SYNCS: usize = 50;
const SYNC_BYTES: usize = 4096;
/// A slower disk makes every write of the cluster slow.
const SYNC_MS_MAX: f64 = 10.0;
const PROBE: &str = "doctor.tmp";

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let root = &config.node.data_dir;
    let mut findings = vec![room(config)];
    if root.is_dir() {
        findings.push(owner(config));
        findings.push(sync_time(root));
    }
    findings
}

fn room(config: &Config) -> Finding {
    const CHECK: &str = "disk room";
    let state = match DiskState::measure(&config.node.data_dir, &config.disk) {
        Ok(state) => state,
        Err(error) => {
            return Finding::fail(CHECK, Failure::runtime(error).message(), "see node.data_dir");
        }
    };
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let (free, total) = (state.space.free_bytes, state.space.total_bytes);
    let saw = format!("{} MiB of {} MiB are free", mib(free), mib(total));
    if state.read_only {
        let saw = format!("{saw}: the node is read-only");
        return Finding::fail(CHECK, saw, "free some, or enlarge the disk; see disk.free_bytes_min");
    }
    if free < total / 10 {
        return Finding::warn(CHECK, saw, "free some, or enlarge the disk, before the node is read-only");
    }
    Finding::ok(CHECK, saw)
}

fn owner(config: &Config) -> Finding {
    const CHECK: &str = "data owner";
    let (root, id, name) = (&config.node.data_dir, config.node.id, &config.cluster.name);
    let incarnation = match Incarnation::read(root) {
        Ok(incarnation) => incarnation.map_or_else(String::new, |it| format!(", incarnation {it}")),
        Err(error) => return unreadable(CHECK, error),
    };
    match Identity::read(root) {
        Ok(Some(found)) if found.node == id && found.cluster == name.as_str() => {
            let saw = format!("node {id} of cluster {name}{incarnation}, in a format that this build reads");
            Finding::ok(CHECK, saw)
        }
        Ok(Some(found)) => {
            let saw =
                format!("{} holds data of node {} of cluster {}", root.display(), found.node, found.cluster);
            Finding::fail(CHECK, saw, "correct node.id, cluster.name or node.data_dir")
        }
        Ok(None) => Finding::ok(CHECK, format!("{} holds no data yet", root.display())),
        Err(error) => unreadable(CHECK, error),
    }
}

fn unreadable(check: &str, error: StoreError) -> Finding {
    Finding::fail(check, Failure::runtime(error).message(), format!("restore the file, or {JOIN_ANEW}"))
}

fn sync_time(root: &Path) -> Finding {
    const CHECK: &str = "disk sync";
    let path = root.join(PROBE);
    let timed = time_syncs(&path);
    // It is of no use to anybody, and the next doctor takes it over.
    let _removed = std::fs::remove_file(&path);
    match timed {
        Ok(mut times) => {
            times.sort();
            let at = |part: usize| {
                times.get(times.len() * part / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3)
            };
            let (median, p99) = (at(50), at(99));
            let saw = format!("keeping 4 KiB takes {median:.1} ms, at worst {p99:.1} ms of {SYNCS} times");
            let fix = "every write waits for this disk: take a faster one, or one that nothing else uses";
            Finding::at_most(CHECK, p99, SYNC_MS_MAX, saw, fix)
        }
        Err(error) => {
            let saw = format!("cannot write {}: {error}", path.display());
            Finding::fail(CHECK, saw, "run it as the user that runs the node, and see that there is room")
        }
    }
}

fn time_syncs(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let block = [0_u8; SYNC_BYTES];
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.rewind()?;
        let began = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}
