//! openraft's log storage: the store's log, with openraft's types on top.
//!
//! Entries are reported as flushed once they are fsynced; a failed fsync is fatal for the log, and
//! so for the node.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use keymoot_store::{Divergence, ENTRY_BYTES_MAX, Log, LogPosition};
use keymoot_telemetry::{LastingConditions, Metrics};

use crate::peer::final_stop::FinalStop;
use crate::vote_ledger::VoteLedger;
use crate::wire::frame;
use crate::wire::raft_codec;
use crate::wire::raft_types::{Entry, LogId, TypeConfig, Vote};

/// An fsync that takes longer is logged.
const SLOW: std::time::Duration = std::time::Duration::from_secs(1);
/// The most bytes of entries read for one append message.
const READ_BYTES_MAX: usize = 1024 * 1024;
const _: () = assert!(READ_BYTES_MAX < frame::BODY_BYTES_MAX);
// Whatever can be encoded can be kept, with its place in the log.
const _: () = assert!(keymoot_codec::BYTES_MAX < ENTRY_BYTES_MAX);

/// The Raft log on this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogStorage {
    log: Log,
    metrics: Arc<Metrics>,
    ledger: VoteLedger,
    final_stop: Option<FinalStop>,
    slow: Arc<LastingConditions>,
}

impl LogStorage {
    /// The log; `ledger` is told of entries before the log holds them, and `final_stop` stops a node
    /// that has committed other entries than its leader.
    pub(crate) fn new(
        log: Log,
        metrics: Arc<Metrics>,
        ledger: VoteLedger,
        final_stop: Option<FinalStop>,
    ) -> Self {
        Self { log, metrics, ledger, final_stop, slow: Arc::default() }
    }

    /// Stops this node for good when a truncation to `last` would remove entries that it knew to be
    /// committed: it has applied them, or may have, and the leader has others. After a mere error it
    /// would serve that state again after its next start.
    fn refuse_cut(&self, last: Option<LogPosition>) -> io::Result<()> {
        let kept = last.map_or(0, |last| last.index);
        let Some(committed) = self.ledger.committed().max(self.log.read_committed()) else { return Ok(()) };
        if committed.index <= kept {
            return Ok(());
        }
        let (index, term) = (committed.index, committed.term);
        let what = format!(
            "the log of this node has diverged from that of its cluster: entry {index} of term {term} was committed \
             here, and the leader has other entries behind entry {kept}; the node does not start from these data again"
        );
        let reason = match &self.final_stop {
            Some(stop) => {
                let reason = stop.mark(&what, Divergence { index, term, ..Divergence::default() });
                stop.end(reason.clone());
                reason
            }
            None => what,
        };
        Err(io::Error::other(reason))
    }

    fn read(&self, start: u64, end: u64, bytes_max: Option<usize>) -> io::Result<Vec<Entry>> {
        let entries = self.log.read(start..end, bytes_max)?;
        entries.into_iter().map(|(at, payload)| raft_codec::entry(&at, payload)).collect()
    }
}

impl RaftLogReader<TypeConfig> for LogStorage {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, None)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log.read_vote().as_ref().map(raft_codec::vote))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, Some(READ_BYTES_MAX))
    }
}

impl RaftLogStorage<TypeConfig> for LogStorage {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let (purged, last) = self.log.bounds();
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
        self.ledger.promise(vote);
        #[cfg(feature = "mutants")]
        if keymoot_mutant::is("no-vote") {
            return Ok(());
        }
        let (done, fsynced) = oneshot::channel();
        self.log.save_vote(
            vote,
            Box::new(move |result| {
                // The caller may have gone; drop the answer.
                let _ = done.send(result);
            }),
        )?;
        fsynced.await.map_err(io::Error::other)??;
        self.ledger.save(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let committed = committed.as_ref().map(raft_codec::position);
        if let Some(committed) = committed {
            self.ledger.commit(committed);
        }
        self.log.save_committed(committed)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.read_committed().as_ref().map(raft_codec::log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = raft_codec::log_entries(entries)?;
        let appending = self.ledger.append(&entries);
        let (metrics, ledger, slow) = (self.metrics.clone(), self.ledger.clone(), self.slow.clone());
        let began = std::time::Instant::now();
        let done = move |result: Result<(), io::Error>| {
            let took = began.elapsed();
            metrics.log_fsync_seconds.observe(took.as_secs_f64());
            if took > SLOW {
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                if let Some(unlogged) = slow.note(()) {
                    tracing::warn!(
                        took_ms,
                        unlogged,
                        "the disk is slow: every write waits until log entries are kept"
                    );
                }
            }
            if result.is_ok() {
                ledger.flush(appending);
            }
            callback.io_completed(result);
        };
        self.log.append(entries, Box::new(done))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let (_, end) = self.log.bounds();
        if last.is_some_and(|last| end.is_none_or(|end| end.index <= last.index)) {
            // No entry follows it; the store refuses to purge up to an entry that it does not have.
            return Ok(());
        }
        let last = last.as_ref().map(raft_codec::position);
        self.refuse_cut(last)?;
        self.ledger.truncate(last);
        self.log.truncate_after(last)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let upto = raft_codec::position(&upto);
        self.ledger.purge(upto);
        self.log.purge(upto)
    }
}

#[cfg(test)]
mod tests;
