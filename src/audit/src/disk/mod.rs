//! A log on disk.
//!
//! ```text
//! lock           held while a process has the log open
//! log.json, key, public-key          which log it is: see `manifest.rs`
//! checkpoint, checkpoints            what was signed of it: see `checkpoints.rs`
//! segments/      the events: see `segment/`
//! hashes/        the hashes of the tree: see `hashes.rs`
//! ended/<id>/    logs that ended here, each laid out as this one
//! ```
//!
//! Invariants: an event is on the disk before a checkpoint that covers it is signed, and so are its hashes. So what a
//! crash can take from a log is never covered by a checkpoint, and a log that has less than its checkpoint says was
//! cut by somebody. Such a log is never written to again: it is set aside, and a new one begins that names it.

mod active;
pub(crate) mod checkpoints;
mod ended;
mod keeper;
pub(crate) mod manifest;
mod open;
mod reading;
mod reserve;
mod search;
mod sync;
pub(crate) mod tail;
#[cfg(test)]
mod tests;
mod usage;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::hashes::{HashFiles, NewHashes};
use crate::note::{LogKey, SignedCheckpoint};
use crate::segment::{Block, IndexBuilder};
use crate::tree::Frontier;
use crate::{AuditSettings, Unwritable, Usage};
use active::Active;
use manifest::Manifest;
use tail::Tail;

pub use ended::{EndedLog, ended_logs};
pub(crate) use open::open;

/// Where logs lie that ended here.
pub(crate) const ENDED: &str = "ended";

/// From which size on a segment gets no more events, in bytes.
pub(crate) const SEGMENT_BYTES: u64 = 32 * 1024 * 1024;

/// A log that is open for writing.
#[derive(Debug)]
pub(crate) struct DiskLog {
    pub(crate) dir: PathBuf,
    settings: AuditSettings,
    segment_bytes: u64,
    pub(crate) manifest: Manifest,
    pub(crate) key: LogKey,
    /// Events that have a number. Locked for a moment only. Where several are locked, then `active` before `tail` and
    /// before `hashes`.
    tail: Mutex<Tail>,
    /// The segment that is written to. Locked while it is written to.
    active: Mutex<Active>,
    hashes: Mutex<Hashes>,
    sealed: Mutex<Vec<Sealed>>,
    checkpoint: Mutex<SignedCheckpoint>,
    /// How many events are with the operating system.
    pub(crate) written: watch::Sender<u64>,
    pub(crate) durable: watch::Sender<Durable>,
    requests: Mutex<Requests>,
    wake: Condvar,
    /// Why no checkpoint could be signed.
    unsigned: Mutex<Option<String>>,
    usage: Mutex<Usage>,
    /// Below which event every receiver has all, if those may be deleted early.
    acknowledged: Mutex<std::collections::BTreeMap<String, u64>>,
    stopping: AtomicBool,
    /// Held while this value lives.
    _lock: File,
}

/// What is on the disk, and why nothing more gets there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Durable {
    pub(crate) size: u64,
    pub(crate) fault: Option<Unwritable>,
}

/// What is asked of the thread that syncs.
#[derive(Debug, Default)]
struct Requests {
    /// Up to how many events somebody waits for.
    sync: u64,
    /// Something failed.
    failed: bool,
    stop: bool,
}

/// The hashes, with those that are not in the files yet.
#[derive(Debug)]
struct Hashes {
    files: HashFiles,
    /// How many events there are hashes of in the files.
    in_files: u64,
    waiting: NewHashes,
    /// Of the events whose hashes are in the files or wait.
    frontier: Frontier,
}

/// A segment that gets no more events.
#[derive(Clone, Debug)]
struct Sealed {
    first: u64,
    count: u64,
    bytes: u64,
    min_ms: u64,
    max_ms: u64,
    is_indexed: bool,
    /// Its index, until it is on the disk; none where it has to be made of the segment.
    index: Option<Arc<IndexBuilder>>,
    /// Its blocks, until the index has them.
    blocks: Vec<Block>,
}

impl DiskLog {
    pub(crate) fn newest_checkpoint(&self) -> SignedCheckpoint {
        lock(&self.checkpoint).clone()
    }
}

/// An open log, and the threads that work on it. They end with it.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) log: Arc<DiskLog>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Running {
    fn start(log: DiskLog) -> std::io::Result<Self> {
        let log = Arc::new(log);
        let spawn = |name: &str, run: fn(&DiskLog)| {
            let log = log.clone();
            std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&log))
        };
        let threads = vec![spawn("audit-sync", sync::run)?, spawn("audit-keep", keeper::run)?];
        Ok(Self { log, threads: Mutex::new(threads) })
    }

    /// Makes all events durable, signs a last checkpoint and closes the log. What is appended later is refused.
    pub(crate) fn close(&self) {
        self.log.stop();
        for thread in lock(&self.threads).drain(..) {
            // A panic of it was reported when it happened.
            let _ended = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

/// Each value behind these locks is whole whenever it is unlocked, also by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
