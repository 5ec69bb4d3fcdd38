//! The Raft log: entries and the vote, durable in the order in which they are submitted.
//!
//! A thin adapter over the crate `raft-log`, whose flush thread lets concurrent appends share one fsync.
//! Invariants: entries are readable when [`Log::append`] returns and on the disk when its completion runs; a
//! completion runs exactly once; the first failed write or sync is terminal: every later call fails, because
//! the state of the disk is no longer known.
//!
//! Opening truncates a torn last record, which was never acknowledged, even if later files without records
//! exist, and refuses any other damage.

mod check;
mod failure;
mod inspect;
mod record;
#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use raft_log::api::raft_log_writer::RaftLogWriter;
use serde::{Deserialize, Serialize};

use super::StoreError;
use failure::{Done, Failure};
use record::{Payload, Types, VoteRecord};

/// The longest entry that is stored, in bytes.
pub const ENTRY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Called once with the outcome, when the write that it belongs to is on the disk. It usually runs on the
/// flush thread: it must be quick and must not call the log.
pub type Completion = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The position of an entry: term and node of the leader that proposed it, and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// The term of the leader that proposed it.
    pub term: u64,
    pub node: u64,
    /// The index in the log.
    pub index: u64,
}

/// A vote given in an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredVote {
    /// The term of the election.
    pub term: u64,
    pub node: u64,
    /// Whether the candidate is known to have won.
    pub committed: bool,
}

impl StoredVote {
    /// Whether both votes are for the same candidate in the same election, whether or not it is known to have
    /// won.
    pub const fn is_for_same_leader(&self, other: &Self) -> bool {
        self.term == other.term && self.node == other.node
    }
}

/// Settings of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// Payload bytes kept in memory for followers a little behind. At least three times
    /// `chunk_bytes` is kept.
    pub cache_bytes: usize,
    /// The size at which a file of the log is closed and the next one started, and the bytes that may wait to
    /// be written before an append waits too. A purge frees whole files.
    pub chunk_bytes: usize,
    /// How long a sync waits for more writes to share it. Never 0: with 0 every write would be synced on its
    /// own. With a time shorter than falling asleep takes, a sync takes the pending writes without waiting.
    pub gather: Duration,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024, chunk_bytes: 16 * 1024 * 1024, gather: GATHER }
    }
}

/// A handle to the open log. Clones share it; it closes with the last.
#[derive(Clone)]
pub struct Log {
    log: Arc<RwLock<raft_log::RaftLog<Types>>>,
    failure: Arc<Failure>,
    /// Whether a note waits for the next write.
    waits: Arc<AtomicBool>,
}

/// Whether `dir`, which may be missing, holds bytes of a log.
pub(super) fn holds_bytes(dir: &Path) -> Result<bool, StoreError> {
    Ok(dir.exists() && inspect::holds_bytes(dir).map_err(StoreError::io("read", dir))?)
}

impl Log {
    /// Opens the log in `dir`, which must exist; creates the log when `dir` is empty.
    ///
    /// # Errors
    /// [`StoreError::LogDamaged`] or [`StoreError::LogGap`] when the log is not whole, otherwise an I/O
    /// error.
    pub fn open(dir: &Path, options: LogOptions) -> Result<Self, StoreError> {
        inspect::refuse_damage(dir)?;
        let log = raft_log::RaftLog::open(Arc::new(settings(dir, options)?))
            .map_err(|error| inspect::locate(dir).unwrap_or_else(|| StoreError::io("open", dir)(error)))?;
        let log = Self { log: Arc::new(RwLock::new(log)), failure: Arc::default(), waits: Arc::default() };
        // The writes of a killed process may be in the page cache only. They must be on the disk before
        // anything that relies on them is acknowledged.
        log.settle().map_err(StoreError::io("sync", dir))?;
        log.refuse_gap(dir)?;
        Ok(log)
    }

    /// Appends entries, which must follow the last one without a gap. They can be read when this returns;
    /// `done` runs when they, and all earlier writes, are on the disk.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`], with nothing appended, when the entries do not follow; any
    /// other kind once the log has [`failed`](Self::failed). `done` is then called with an error.
    pub fn append(&self, entries: Vec<(LogPosition, Bytes)>, done: Completion) -> io::Result<()> {
        self.write(true, Some(done), move |log| {
            check::entries_follow(log.log_state().last(), &entries)?;
            let entries = entries.into_iter().map(|(position, bytes)| (position, Payload(bytes)));
            log.append(entries).map(|_segment| ())
        })
    }

    /// Saves the vote; `done` runs when it, and all earlier writes, are on the disk.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when the term goes back; any other kind once the log has failed.
    pub fn save_vote(&self, vote: StoredVote, done: Completion) -> io::Result<()> {
        self.write(true, Some(done), move |log| {
            let record = VoteRecord::after(log.log_state().vote(), vote)?;
            log.save_vote(record).map(|_segment| ())
        })
    }

    /// The last saved vote, durable or not.
    pub fn read_vote(&self) -> Option<StoredVote> {
        self.read_lock().log_state().vote().map(VoteRecord::vote)
    }

    /// Notes how far entries are committed. This is a hint for the next start, so it is not synced; it is
    /// written with the next write, or by [`write_out`](Self::write_out). A position before the noted one or
    /// after the last entry is ignored.
    ///
    /// # Errors
    /// Any kind, once the log has failed.
    pub fn save_committed(&self, committed: Option<LogPosition>) -> io::Result<()> {
        let Some(committed) = committed else {
            return Ok(());
        };
        self.failure.check()?;
        let mut log = self.write_lock();
        let state = log.log_state();
        if Some(&committed) <= state.committed() || Some(&committed) > state.last() {
            return Ok(());
        }
        let noted = log.commit(committed).map(|_segment| ()).inspect_err(|error| self.failure.mark(error));
        self.waits.store(true, Ordering::Relaxed);
        noted
    }

    /// Writes a note that waits for the next write, if there is one. Not synced.
    ///
    /// # Errors
    /// Any kind, once the log has failed.
    pub fn write_out(&self) -> io::Result<()> {
        if !self.waits.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.write(false, None, |_log| Ok(()))
    }

    /// The position last noted as committed.
    pub fn read_committed(&self) -> Option<LogPosition> {
        self.read_lock().log_state().committed().copied()
    }

    /// Removes every entry after `keep`; with `None`, every entry that is not purged. Durable once any later
    /// completion runs.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`], with nothing removed, when `keep` is not in the log or a committed
    /// entry would go; any other kind once the log has failed.
    pub fn truncate_after(&self, keep: Option<LogPosition>) -> io::Result<()> {
        self.write(true, None, move |log| {
            check::can_keep(log, keep)?;
            let first_removed = match keep {
                Some(keep) => keep.index.saturating_add(1),
                None => check::next_index(log.log_state().purged()),
            };
            log.truncate(first_removed).map(|_segment| ())
        })
    }

    /// Drops every entry up to and including `upto`, which may be after the last entry: the log then
    /// continues after `upto`. Files are removed once the purge is on the disk.
    ///
    /// # Errors
    /// Any kind, once the log has failed.
    pub fn purge(&self, upto: LogPosition) -> io::Result<()> {
        self.write(true, None, move |log| log.purge(upto).map(|_segment| ()))
    }

    /// The last purged position and the last position. They are equal when no entry is held.
    pub fn bounds(&self) -> (Option<LogPosition>, Option<LogPosition>) {
        let log = self.read_lock();
        let state = log.log_state();
        (state.purged().copied(), state.last().copied())
    }

    /// The entries held in `range`, in order, without gaps. With `bytes_max`, reading stops once
    /// that many payload bytes are read; the first entry is always read.
    ///
    /// # Errors
    /// An I/O error, also when a stored entry does not match its checksum.
    pub fn read(&self, range: Range<u64>, bytes_max: Option<usize>) -> io::Result<Vec<(LogPosition, Bytes)>> {
        let mut entries = Vec::new();
        if range.is_empty() {
            return Ok(entries);
        }
        let mut bytes_left = bytes_max.unwrap_or(usize::MAX);
        let log = self.read_lock();
        for entry in log.read(range.start, range.end) {
            let (position, Payload(bytes)) = entry?;
            let Some(left) = bytes_left.checked_sub(bytes.len()).or(entries.is_empty().then_some(0)) else {
                break;
            };
            bytes_left = left;
            entries.push((position, bytes));
        }
        check::consecutive(&entries)?;
        Ok(entries)
    }

    /// Whether a write or sync failed; from then on every call that writes fails.
    pub fn failed(&self) -> bool {
        self.failure.check().is_err()
    }

    /// Calls `hook` with the reason when the log fails, or now if it has failed already. The hook runs on the
    /// thread that detects the failure.
    pub fn on_failure(&self, hook: Box<dyn FnOnce(&str) + Send>) {
        self.failure.on_failure(hook);
    }

    /// The total size of the log's files.
    #[cfg(test)]
    pub(crate) fn on_disk_bytes(&self) -> u64 {
        self.read_lock().on_disk_size()
    }

    /// Waits until all earlier writes are on the disk.
    ///
    /// # Errors
    /// Any kind, once the log has failed.
    pub fn settle(&self) -> io::Result<()> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let done = Box::new(move |outcome| {
            // The receiver waits below, so the send cannot fail.
            let _sent = sender.send(outcome);
        });
        self.write(true, Some(done), |_log| Ok(()))?;
        receiver.recv().map_err(|_| io::Error::other("the log stopped before it answered"))?
    }

    /// Applies `change` and passes its writes to the flush thread.
    fn write(
        &self,
        sync: bool,
        done: Option<Completion>,
        change: impl FnOnce(&mut raft_log::RaftLog<Types>) -> io::Result<()>,
    ) -> io::Result<()> {
        #[cfg(feature = "mutants")]
        let sync = sync && !keymoot_mutant::is("no-fsync");
        let done = Done::new(done, Arc::clone(&self.failure));
        let mut log = self.write_lock();
        if let Err(error) = self.failure.check().and_then(|()| change(&mut log)) {
            drop(log);
            // A refused change altered nothing. After any other error, part of the change may be written.
            let refused = error.kind() == io::ErrorKind::InvalidInput && error.raw_os_error().is_none();
            if !refused {
                self.failure.mark(&error);
            }
            done.refuse(&error);
            return Err(error);
        }
        self.waits.store(false, Ordering::Relaxed);
        // If the flush thread has ended, `done` is dropped, which answers it.
        log.flush(sync, Some(done)).inspect_err(|error| self.failure.mark(error))
    }

    /// Refuses a log whose first file is missing: its entries would be silently absent.
    fn refuse_gap(&self, dir: &Path) -> Result<(), StoreError> {
        let (purged, last) = self.bounds();
        let missing = check::next_index(purged.as_ref());
        if last <= purged {
            return Ok(());
        }
        if purged.is_none() {
            // Nothing was ever purged, so the first file must exist. The first entry need not have index 0.
            let whole = inspect::has_first_file(dir).map_err(StoreError::io("read", dir))?;
            return if whole { Ok(()) } else { Err(StoreError::LogGap { path: dir.to_owned(), missing }) };
        }
        match self.read(missing..missing.saturating_add(1), None) {
            Ok(first) if first.is_empty() => Err(StoreError::LogGap { path: dir.to_owned(), missing }),
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::io("read", dir)(error)),
        }
    }

    // The lock guards only the crate's log, whose checks cover a panic inside the crate; a poisoned lock is
    // no reason to panic here too.
    fn read_lock(&self) -> RwLockReadGuard<'_, raft_log::RaftLog<Types>> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, raft_log::RaftLog<Types>> {
        self.log.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (purged, last) = self.bounds();
        f.debug_struct("Log").field("purged", &purged).field("last", &last).finish_non_exhaustive()
    }
}

fn settings(dir: &Path, options: LogOptions) -> Result<raft_log::Config, StoreError> {
    let path = dir.to_str().ok_or_else(|| {
        StoreError::io("open", dir)(io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8"))
    })?;
    let chunk_bytes = options.chunk_bytes.max(1);
    let mut settings = raft_log::Config::new(path);
    settings.wal.chunk_max_size = Some(chunk_bytes);
    settings.wal.chunk_max_records = Some(RECORDS_PER_CHUNK_MAX);
    settings.wal.read_buffer_size = Some(1024 * 1024);
    settings.wal.truncate_incomplete_record = Some(true);
    settings.wal.flush_batch_wait = Some(options.gather.max(Duration::from_nanos(1)));
    settings.wal.flush_queue_max_bytes = Some(chunk_bytes);
    // The crate cannot read back entries that are not yet in a closed file, and after a truncation it may
    // treat such entries as evictable. It evicts the oldest first, so it never reaches them while the cache
    // can hold the open file, one being closed and all pending writes.
    settings.log_cache_capacity = Some(options.cache_bytes.max(chunk_bytes.saturating_mul(3)));
    settings.log_cache_max_items = Some(2 * RECORDS_PER_CHUNK_MAX);
    Ok(settings)
}

/// Simultaneous writes are batched before they reach the log. A flush thread that fell asleep to wait for
/// more would cost more than it gains: a single write would take a tenth of a millisecond longer.
const GATHER: Duration = Duration::from_nanos(150);
const RECORDS_PER_CHUNK_MAX: usize = 1024 * 1024;
