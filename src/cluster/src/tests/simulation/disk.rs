//! A disk in memory: writes are visible at once, and synced writes survive a power cut. Syncs take
//! time, and cover the writes from before they began.
//!
//! Entries are stored in the bytes of the real log. The log's own files are not simulated: they
//! have tests of their own, as has the real log under power cuts (the nemesis).

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::{mpsc, oneshot};

use keymoot_model::NodeId;
use keymoot_store::{Completion, LogPosition, StoredVote};

use super::fate::Fate;
use crate::vote_ledger::VoteLedger;
use crate::wire::raft_codec;
use crate::wire::raft_types::{Entry, LogId, TypeConfig, Vote};

/// How far a lying disk lags behind.
const WRITE_BACK: Duration = Duration::from_secs(2);

/// The content of the disk.
#[derive(Clone, Default)]
struct Image {
    entries: BTreeMap<u64, (LogPosition, Bytes)>,
    purged: Option<LogPosition>,
    vote: Option<StoredVote>,
    committed: Option<LogPosition>,
}

#[derive(Clone)]
enum Write {
    Append(Vec<(LogPosition, Bytes)>),
    TruncateAfter(Option<LogPosition>),
    Purge(LogPosition),
    Vote(StoredVote),
    Committed(Option<LogPosition>),
}

impl Image {
    fn take(&mut self, write: Write) {
        match write {
            Write::Append(entries) => {
                self.entries.extend(entries.into_iter().map(|entry| (entry.0.index, entry)));
            }
            Write::TruncateAfter(last) => {
                let end = last.map_or(0, |last| last.index + 1);
                self.entries.split_off(&end);
            }
            Write::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(upto);
            }
            Write::Vote(vote) => self.vote = Some(vote),
            Write::Committed(committed) => self.committed = committed,
        }
    }
}

/// The way in which a node is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Writes are kept.
    Kill,
    /// Writes that were not synced are lost, or a part of them.
    PowerCut,
}

/// A node's disk; it outlives the node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<Platter>>);

struct Platter {
    written: Image,
    durable: Image,
    unsynced: VecDeque<Write>,
    /// The number of writes so far.
    writes: u64,
    /// The number of times that a node was started on it.
    boots: u64,
    running: bool,
    was_purged: bool,
    sync_ms: (u64, u64),
    /// Reports syncs that have not happened.
    lies: bool,
    /// Passes on the votes up to the first leader, and hides later ones.
    hushes_votes: bool,
    fate: Fate,
}

/// What was on a disk.
pub(crate) struct DiskCopy(Image, bool);

type QueuedWrite = (u64, Completion);

impl SimulatedDisk {
    pub(crate) fn new(fate: Fate, lies: bool, hushes_votes: bool) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            written: Image::default(),
            durable: Image::default(),
            unsynced: VecDeque::new(),
            writes: 0,
            boots: 0,
            running: false,
            was_purged: false,
            sync_ms: (0, 3),
            lies,
            hushes_votes,
            fate,
        })))
    }

    /// Sets how long syncs take from now on, in milliseconds.
    pub(crate) fn set_sync_ms(&self, sync_ms: (u64, u64)) {
        self.lock().sync_ms = sync_ms;
    }

    /// The log for a node that starts now.
    pub(crate) fn boot(&self, ledger: VoteLedger) -> DiskLog {
        let mut platter = self.lock();
        platter.boots += 1;
        platter.running = true;
        let (queue, waiting) = mpsc::unbounded_channel();
        tokio::spawn(sync(self.clone(), platter.boots, waiting));
        DiskLog { disk: self.clone(), boot: platter.boots, queue, ledger }
    }

    /// The vote ledger of a node that starts now.
    pub(crate) fn ledger(&self, me: NodeId) -> VoteLedger {
        let platter = self.lock();
        let written = &platter.written;
        let last = written.entries.values().next_back().map(|(at, _)| *at).or(written.purged);
        VoteLedger::new(me, written.vote, last)
    }

    /// Ignores all further writes of the running node.
    pub(crate) fn stop(&self, how: Stop) {
        let mut platter = self.lock();
        platter.running = false;
        let kept = match how {
            Stop::Kill => platter.unsynced.len() as u64,
            Stop::PowerCut => {
                let most = platter.unsynced.len() as u64;
                platter.fate.between(0, most)
            }
        };
        for write in std::mem::take(&mut platter.unsynced).into_iter().take(kept as usize) {
            platter.durable.take(write);
        }
        platter.written = platter.durable.clone();
    }

    /// Deletes everything; no node may run on it.
    pub(crate) fn empty(&self) {
        let mut platter = self.lock();
        (platter.written, platter.durable) = (Image::default(), Image::default());
        platter.unsynced.clear();
        platter.was_purged = false;
    }

    /// A copy of what is on the disk; no node may run on it.
    pub(crate) fn copy(&self) -> DiskCopy {
        let platter = self.lock();
        DiskCopy(platter.durable.clone(), platter.was_purged)
    }

    /// Puts a copy in the place of what is on the disk; no node may run on it.
    pub(crate) fn put_back(&self, copy: DiskCopy) {
        let mut platter = self.lock();
        (platter.written, platter.durable) = (copy.0.clone(), copy.0);
        platter.unsynced.clear();
        platter.was_purged = copy.1;
    }

    /// Whether entries of the log were ever purged.
    pub(crate) fn was_purged(&self) -> bool {
        self.lock().was_purged
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }
}

impl Platter {
    /// Marks the writes up to this one as synced.
    fn settle(&mut self, upto: u64) {
        while self.writes - (self.unsynced.len() as u64) < upto {
            let Some(write) = self.unsynced.pop_front() else { return };
            self.durable.take(write);
        }
    }
}

async fn sync(disk: SimulatedDisk, boot: u64, mut queue: mpsc::UnboundedReceiver<QueuedWrite>) {
    while let Some(first) = queue.recv().await {
        let mut waiting = vec![first];
        while let Ok(next) = queue.try_recv() {
            waiting.push(next);
        }
        let takes = {
            let mut platter = disk.lock();
            let (least, most) = platter.sync_ms;
            if platter.lies { WRITE_BACK } else { Duration::from_millis(platter.fate.between(least, most)) }
        };
        tokio::time::sleep(takes).await;
        {
            let mut platter = disk.lock();
            if !platter.running || platter.boots != boot {
                return;
            }
            platter.settle(waiting.iter().map(|(upto, _)| *upto).max().unwrap_or(0));
        }
        for (_, done) in waiting {
            done(Ok(()));
        }
    }
}

/// The log of a running node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DiskLog {
    disk: SimulatedDisk,
    boot: u64,
    queue: mpsc::UnboundedSender<QueuedWrite>,
    ledger: VoteLedger,
}

impl DiskLog {
    /// Whether the node that ran here before may have voted.
    pub(crate) fn has_voted(&self) -> bool {
        self.disk.lock().written.vote.is_some()
    }

    fn write(&self, write: Write, done: Option<Completion>) -> io::Result<()> {
        let (upto, lies) = {
            let mut platter = self.disk.lock();
            if !platter.running || platter.boots != self.boot {
                return Err(io::Error::other("the node is stopped"));
            }
            platter.was_purged |= matches!(write, Write::Purge(_));
            platter.written.take(write.clone());
            platter.unsynced.push_back(write);
            platter.writes += 1;
            (platter.writes, platter.lies)
        };
        match done {
            Some(done) if lies => {
                done(Ok(()));
                let _ = self.queue.send((upto, Box::new(|_| {})));
            }
            Some(done) => {
                let _ = self.queue.send((upto, done));
            }
            None => {}
        }
        Ok(())
    }
}

impl RaftLogReader<TypeConfig> for DiskLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        if let (Bound::Included(start), Bound::Excluded(end)) = range
            && start >= end
        {
            return Ok(Vec::new());
        }
        let platter = self.disk.lock();
        platter
            .written
            .entries
            .range(range)
            .map(|(_, (at, bytes))| raft_codec::entry(at, bytes.clone()))
            .collect()
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.disk.lock().written.vote.as_ref().map(raft_codec::vote))
    }
}

impl RaftLogStorage<TypeConfig> for DiskLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let platter = self.disk.lock();
        let last = platter.written.entries.values().next_back().map(|(at, _)| *at);
        let purged = platter.written.purged;
        Ok(LogState {
            last_purged_log_id: purged.as_ref().map(raft_codec::log_id),
            last_log_id: last.or(purged).as_ref().map(raft_codec::log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let vote = raft_codec::stored_vote(vote);
        if !self.disk.lock().hushes_votes || self.ledger.vote().is_none_or(|given| !given.committed) {
            self.ledger.promise(vote);
        }
        let (done, synced) = oneshot::channel();
        let done = Box::new(move |result| {
            let _ = done.send(result);
        });
        self.write(Write::Vote(vote), Some(done))?;
        synced.await.map_err(io::Error::other)??;
        self.ledger.save(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let committed = committed.as_ref().map(raft_codec::position);
        if let Some(committed) = committed {
            self.ledger.commit(committed);
        }
        self.write(Write::Committed(committed), None)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.disk.lock().written.committed.as_ref().map(raft_codec::log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = raft_codec::log_entries(entries)?;
        let (appending, ledger) = (self.ledger.append(&entries), self.ledger.clone());
        let done = move |result: Result<(), io::Error>| {
            if result.is_ok() {
                ledger.flush(appending);
            }
            callback.io_completed(result);
        };
        self.write(Write::Append(entries), Some(Box::new(done)))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let last = last.as_ref().map(raft_codec::position);
        self.ledger.truncate(last);
        self.write(Write::TruncateAfter(last), None)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let upto = raft_codec::position(&upto);
        self.ledger.purge(upto);
        self.write(Write::Purge(upto), None)
    }
}
