//! The log appender: appends the batches of all nodes to the log while this node leads.
//!
//! Batches that arrive while appends are in flight are appended together: they share one append and
//! one fsync.

use bytes::Bytes;
use futures::TryStreamExt as _;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, Fatal};
use tokio::runtime::Handle;

use crate::peer::leader_client::Unanswered;
use crate::raft::Raft;
use crate::wire::raft_types::EncodedProposal;
use crate::write::batcher::{BatchLimits, Batcher};
use crate::write::committed::Committed;
use crate::write::disk::Disk;

/// The most appends of the leader in flight; each holds the batches that arrived while the one
/// before was written.
const APPENDS_IN_FLIGHT_MAX: usize = 2;

/// The most batches in one append.
const APPEND_BATCHES_MAX: usize = 16;

/// Appends the batches of this node, and those that other nodes forward to it.
pub(crate) struct LogAppender {
    raft: Raft,
    disk: Disk,
    batcher: Batcher<Bytes, Result<Committed, Unanswered>>,
}

impl LogAppender {
    /// Appends to this node's Raft, on `runtime`, as long as `disk` is not read-only.
    pub(crate) fn new(raft: Raft, disk: Disk, runtime: Handle) -> Self {
        let limits = BatchLimits {
            // No limit is needed, because every member has few batches in flight.
            waiting_max: usize::MAX,
            batch_max: APPEND_BATCHES_MAX,
            in_flight_max: APPENDS_IN_FLIGHT_MAX,
            pause_after: usize::MAX,
        };
        let to = raft.clone();
        let append = move |batches| {
            let raft = to.clone();
            Box::pin(async move { append_all(&raft, batches).await }) as _
        };
        Self { raft, disk, batcher: Batcher::new(runtime, limits, append) }
    }

    /// Replicates an encoded proposal, if this node leads and its disk is not read-only.
    pub(crate) async fn append(&self, encoded: Bytes) -> Result<Committed, Unanswered> {
        if self.disk.is_read_only() {
            let metrics = self.raft.metrics();
            let leads = metrics.borrow_watched().state == ServerState::Leader;
            return Err(if leads { Unanswered::DiskFull } else { Unanswered::Retry });
        }
        match self.batcher.submit(encoded) {
            Some(answered) => answered.await.unwrap_or(Err(Unanswered::Stopped)),
            None => Err(Unanswered::Retry),
        }
    }
}

/// Appends the batches at once, each as a separate entry.
async fn append_all(raft: &Raft, batches: Vec<Bytes>) -> Vec<Result<Committed, Unanswered>> {
    let count = batches.len();
    let mut answers = Vec::with_capacity(count);
    let appended: Result<(), Fatal<_>> = async {
        let mut written = raft.client_write_many(batches.into_iter().map(EncodedProposal)).await?;
        while let Some(result) = written.try_next().await? {
            answers.push(match result {
                Ok(written) => {
                    let log_index = Some(written.log_id.index);
                    Ok(Committed { responses: written.response.0, log_index })
                }
                // Repeating is safe: the serial makes the proposal apply once, wherever it ended
                // up.
                Err(ClientWriteError::ForwardToLeader(_)) => Err(Unanswered::Retry),
                Err(error) => {
                    tracing::debug!(%error, "a proposal did not stay in the log");
                    Err(Unanswered::Retry)
                }
            });
        }
        Ok(())
    }
    .await;
    if let Err(fatal) = appended {
        tracing::error!(error = %fatal, "raft has stopped");
        answers.resize_with(count, || Err(Unanswered::Stopped));
    }
    answers
}
