//! The log of one node, as the rest of the program has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::disk::{self, DiskLog, Running, checkpoints};
use crate::files::FileError;
use crate::memory::Memory;
use crate::note::{NoteSignature, SignedCheckpoint, VerifierKey};
use crate::segment::SegmentFault;
use crate::tree::{self, Frontier, Hash, ProofError};
use crate::{AuditSettings, Event, LogIdentity, Page, Predecessor, Query, Usage};

/// Why no event can be written now. Nothing may be granted meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written: {reason}")]
pub struct Unwritable {
    /// What the operator has to look at.
    pub reason: String,
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process has it.
    #[error("another process has the audit log in {} open", .0.display())]
    InUse(PathBuf),
    #[error("the audit log's key cannot be used: {0}")]
    Key(String),
}

/// Why events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("events cannot be read from {}: {fault}", path.display())]
    Segment { path: PathBuf, fault: SegmentFault },
}

/// A log as far as it is read: the one that a node writes, or one that ended there.
pub trait LogReader: Send + Sync {
    /// Which log it is: `CLUSTER.keymoot.audit/NODE/ID`.
    fn origin(&self) -> &str;

    /// How many events there are, with those that were deleted since.
    fn size(&self) -> u64;

    /// The number of the oldest event that is kept. Of older ones there are hashes only.
    fn first_kept(&self) -> u64;

    /// How much room it takes.
    fn usage(&self) -> Usage;

    /// Events as they are on disk, from `from` on, at most `max` of them and some MiB; none when there are none. It may
    /// begin later than at `from`, at [`Self::first_kept`].
    ///
    /// # Errors
    /// [`ReadError`] when they cannot be read.
    fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, ReadError>;

    /// A page of the events that match. It reads from the disk: not for a thread that others wait for.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read.
    fn search(&self, query: &Query) -> Result<Page, ReadError>;

    /// What is needed to go on from the first `size` events: their root, and that of any longer tree, is made of it
    /// and of the events behind them.
    ///
    /// # Errors
    /// [`ProofError`] when there are fewer.
    fn frontier(&self, size: u64) -> Result<Frontier, ProofError>;
}

/// The log. Cheap to clone; it is closed when the last one is dropped, or by [`Self::close`].
#[derive(Clone, Debug)]
pub struct AuditLog(pub(crate) Kept);

#[derive(Clone, Debug)]
pub(crate) enum Kept {
    Disk(Arc<Running>),
    /// In memory, for tests.
    Memory(Arc<Memory>),
}

impl AuditLog {
    /// One that keeps everything in memory, for tests.
    pub fn in_memory() -> Self {
        Self(Kept::Memory(Arc::new(Memory::new())))
    }

    /// Opens the log in `dir`, or begins one there. A log that is another node's, or of another incarnation of the
    /// data directory, or not as it was left, is set aside, and a new one begins that names it; `predecessor` is what
    /// a log that begins in an empty directory names.
    ///
    /// # Errors
    /// [`OpenError`] when the directory or its key cannot be used, or another process uses it.
    pub fn open(
        settings: &AuditSettings,
        dir: &Path,
        identity: &LogIdentity,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, OpenError> {
        Ok(Self(Kept::Disk(Arc::new(disk::open(settings, dir, identity, predecessor)?))))
    }

    /// Makes all events durable, signs a last checkpoint and closes the log. What is appended later is refused.
    pub fn close(&self) {
        if let Kept::Disk(running) = &self.0 {
            running.close();
        }
    }

    /// Appends an event, and gives its number. It is not written yet: see [`Self::written`]. One with more keys than
    /// fit into an event becomes several, and the number is that of the last.
    ///
    /// # Errors
    /// [`Unwritable`] when nothing can be written now.
    pub fn append(&self, event: Event) -> Result<u64, Unwritable> {
        match &self.0 {
            Kept::Disk(running) => running.log.append(event),
            Kept::Memory(memory) => memory.append(event),
        }
    }

    /// Appends what corrects an event that could not be written in time, also where nothing may be granted: it is
    /// written with that event, as soon as anything is.
    pub(crate) fn correct(&self, event: Event) {
        let corrected = match &self.0 {
            Kept::Disk(running) => running.log.append_own(event),
            Kept::Memory(memory) => memory.append_own(event),
        };
        // With so much waiting that no more fits, neither event is on the disk.
        drop(corrected);
    }

    /// Waits until the event of this number, and all before it, are as durable as the configuration wants.
    ///
    /// # Errors
    /// [`Unwritable`] when that cannot be. The event may be written later nevertheless.
    pub async fn written(&self, number: u64) -> Result<(), Unwritable> {
        match &self.0 {
            Kept::Disk(running) => written(&running.log, number).await,
            Kept::Memory(memory) => {
                let stalled = memory.kept().stalled.clone();
                stalled.map_or_else(|| self.state(), Err)
            }
        }
    }

    /// Whether events can be written now.
    ///
    /// # Errors
    /// [`Unwritable`] says why not.
    pub fn state(&self) -> Result<(), Unwritable> {
        let fault = match &self.0 {
            Kept::Disk(running) => running.log.durable.borrow().fault.clone(),
            Kept::Memory(memory) => memory.kept().fault.clone(),
        };
        fault.map_or(Ok(()), Err)
    }

    /// How many events there are, with those that were deleted since.
    pub fn size(&self) -> u64 {
        *self.size_channel().borrow()
    }

    /// Tells of the number of events whenever it has changed.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.size_channel().subscribe()
    }

    fn size_channel(&self) -> &watch::Sender<u64> {
        match &self.0 {
            Kept::Disk(running) => &running.log.written,
            Kept::Memory(memory) => &memory.size,
        }
    }

    /// The number of the oldest event that is kept. Of older ones there are hashes only.
    pub fn first_kept(&self) -> u64 {
        match &self.0 {
            Kept::Disk(running) => running.log.first_kept(),
            Kept::Memory(_) => 0,
        }
    }

    /// Which log it is: `CLUSTER.keymoot.audit/NODE/ID`.
    pub fn origin(&self) -> &str {
        self.public_key().name()
    }

    /// What its checkpoints, and its cosignatures of others', are verified with.
    pub fn public_key(&self) -> &VerifierKey {
        match &self.0 {
            Kept::Disk(running) => running.log.key.verifier(),
            Kept::Memory(memory) => memory.key.verifier(),
        }
    }

    /// The log that it goes on from.
    pub fn predecessor(&self) -> Option<&Predecessor> {
        match &self.0 {
            Kept::Disk(running) => running.log.manifest.predecessor.as_ref(),
            Kept::Memory(_) => None,
        }
    }

    /// The directory of the log; `None` when it is in memory.
    pub fn dir(&self) -> Option<&Path> {
        match &self.0 {
            Kept::Disk(running) => Some(&running.log.dir),
            Kept::Memory(_) => None,
        }
    }

    /// The newest checkpoint: of all that is on the disk, made each `audit.sync_interval_ms` in which the log grew.
    pub fn checkpoint(&self) -> SignedCheckpoint {
        match &self.0 {
            Kept::Disk(running) => running.log.newest_checkpoint(),
            Kept::Memory(memory) => memory.checkpoint(),
        }
    }

    /// Cosigns the checkpoint of another log as seen at `time_s`, seconds since 1970 UTC. Whoever calls this has
    /// checked that it goes on from the last one that was cosigned.
    pub fn cosign(&self, other: &SignedCheckpoint, time_s: u64) -> NoteSignature {
        match &self.0 {
            Kept::Disk(running) => other.cosign(&running.log.key, time_s),
            Kept::Memory(memory) => other.cosign(&memory.key, time_s),
        }
    }

    /// Keeps a checkpoint of this log that others have cosigned in the file `checkpoints` of its directory, durably:
    /// `keymoot audit verify` holds the log to it.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be written.
    pub fn keep_cosigned(&self, checkpoint: &SignedCheckpoint) -> Result<(), ReadError> {
        match &self.0 {
            Kept::Disk(running) => Ok(checkpoints::keep_cosigned(&running.log.dir, checkpoint)?),
            Kept::Memory(_) => Ok(()),
        }
    }

    /// Events as they are on disk, from `from` on, at most `max` of them and some MiB; none when `from` is not written
    /// yet. It may begin later than at `from`, at [`Self::first_kept`].
    ///
    /// # Errors
    /// [`ReadError`] when they cannot be read.
    pub fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, ReadError> {
        match &self.0 {
            Kept::Disk(running) => running.log.segments().read(from, max),
            Kept::Memory(memory) => Ok(memory.read(from, max)),
        }
    }

    /// The proof that the event of this number is in the tree over the first `size`. There is one for every size up to
    /// that of [`Self::checkpoint`], also of events that are deleted.
    ///
    /// # Errors
    /// [`ProofError`] when there is none.
    pub fn inclusion_proof(&self, number: u64, size: u64) -> Result<Vec<Hash>, ProofError> {
        match &self.0 {
            Kept::Disk(running) => running.log.inclusion_proof(number, size),
            Kept::Memory(memory) => {
                let kept = memory.kept();
                in_range(size, kept.frontier.size())?;
                tree::inclusion_proof(&*kept, number, size)
            }
        }
    }

    /// The proof that the tree over the first `from` events is the beginning of that over the first `to`.
    ///
    /// # Errors
    /// [`ProofError`] when there is none.
    pub fn consistency_proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, ProofError> {
        match &self.0 {
            Kept::Disk(running) => running.log.consistency_proof(from, to),
            Kept::Memory(memory) => {
                let kept = memory.kept();
                in_range(to, kept.frontier.size())?;
                tree::consistency_proof(&*kept, from, to)
            }
        }
    }

    /// The root over the first `size` events.
    ///
    /// # Errors
    /// [`ProofError`] when there are fewer.
    pub fn root(&self, size: u64) -> Result<Hash, ProofError> {
        match &self.0 {
            Kept::Disk(running) => running.log.root(size),
            Kept::Memory(memory) => {
                let kept = memory.kept();
                in_range(size, kept.frontier.size())?;
                Ok(tree::root(&*kept, size)?)
            }
        }
    }

    /// What is needed to go on from the first `size` events: their root, and that of any longer tree, is made of it
    /// and of the events behind them.
    ///
    /// # Errors
    /// [`ProofError`] when there are fewer.
    pub fn frontier(&self, size: u64) -> Result<Frontier, ProofError> {
        match &self.0 {
            Kept::Disk(running) => running.log.frontier(size),
            Kept::Memory(memory) => {
                let kept = memory.kept();
                in_range(size, kept.frontier.size())?;
                Ok(tree::frontier(&*kept, size)?)
            }
        }
    }

    /// A page of the events that match. It reads from the disk: not for a thread that others wait for.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read.
    pub fn search(&self, query: &Query) -> Result<Page, ReadError> {
        match &self.0 {
            Kept::Disk(running) => running.log.segments().search(query),
            Kept::Memory(memory) => Ok(memory.search(query)),
        }
    }

    /// How much room it takes, and for how long that will do.
    pub fn usage(&self) -> Usage {
        match &self.0 {
            Kept::Disk(running) => running.log.usage(),
            Kept::Memory(_) => Usage { events: self.size(), ..Usage::default() },
        }
    }

    /// A receiver has all events below `number`, durably. Where `audit.delete_shipped` says so, what every receiver that
    /// ever said so has may be deleted before its time.
    pub fn acknowledge(&self, receiver: &str, number: u64) {
        if let Kept::Disk(running) = &self.0 {
            running.log.acknowledge(receiver, number);
        }
    }

    /// All events of a log in memory, in order; none of one on disk.
    pub fn remembered(&self) -> Vec<Event> {
        match &self.0 {
            Kept::Disk(_) => Vec::new(),
            Kept::Memory(memory) => memory.kept().events.clone(),
        }
    }

    /// Makes a log in memory take events that never become written, or be sound again.
    pub fn stall_for_test(&self, fault: Option<Unwritable>) {
        if let Kept::Memory(memory) = &self.0 {
            memory.kept().stalled = fault;
        }
    }

    /// Makes a log in memory refuse to write, or write again.
    pub fn break_for_test(&self, fault: Option<Unwritable>) {
        if let Kept::Memory(memory) = &self.0 {
            memory.kept().fault = fault;
        }
    }
}

impl LogReader for AuditLog {
    fn origin(&self) -> &str {
        self.origin()
    }

    fn size(&self) -> u64 {
        self.size()
    }

    fn first_kept(&self) -> u64 {
        self.first_kept()
    }

    fn usage(&self) -> Usage {
        self.usage()
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, ReadError> {
        self.read(from, max)
    }

    fn search(&self, query: &Query) -> Result<Page, ReadError> {
        self.search(query)
    }

    fn frontier(&self, size: u64) -> Result<Frontier, ProofError> {
        self.frontier(size)
    }
}

fn in_range(number: u64, size: u64) -> Result<(), ProofError> {
    if number > size { Err(ProofError::OutOfRange { number, size }) } else { Ok(()) }
}

async fn written(log: &DiskLog, number: u64) -> Result<(), Unwritable> {
    if log.syncs_always() {
        let mut durable = log.durable.subscribe();
        if durable.borrow().size <= number {
            log.request_sync(number + 1);
        }
        let done = durable.wait_for(|durable| durable.size > number || durable.fault.is_some()).await;
        return match done {
            Ok(durable) if durable.size > number => Ok(()),
            Ok(_) | Err(_) => Err(log.fault()),
        };
    }
    // Others of this worker that waited for the same quorum are ready, too: one write then holds the events of all.
    tokio::task::yield_now().await;
    if *log.written.borrow() > number {
        return Ok(());
    }
    // Here and now: a thread of its own would cost two switches of threads for each request.
    log.write()
}
