//! The log appender: appends the batches of all nodes to the log while this node leads.
//!
//! Batches that come while the appends in flight are written are appended together: they share one append
//! and one fsync.

use bytes::Bytes;
use futures::TryStreamExt as _;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, Fatal};
use tokio::runtime::Handle;

use keymoot_state::Response;

use crate::peer::leader_client::Unanswered;
use crate::raft::Raft;
use crate::wire::raft_types::EncodedProposal;
use crate::write::batcher::{BatchLimits, Batcher};
use crate::write::disk::Disk;

/// Appends of the leader under way at most; each holds what came while the one before was written.
const APPENDS_IN_FLIGHT_MAX: usize = 2;

/// Batches in one append at most.
const APPEND_BATCHES_MAX: usize = 16;

/// Appends the batches of this node, and those that others forward to it.
pub(crate) struct LogAppender {
    raft: Raft,
    disk: Disk,
    batcher: Batcher<Bytes, Result<Vec<Response>, Unanswered>>,
}

impl LogAppender {
    /// To this node's Raft, on `runtime`, as long as its `disk` has room.
    pub(crate) fn new(raft: Raft, disk: Disk, runtime: Handle) -> Self {
        let limits = BatchLimits {
            // Every member has few batches under way.
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

    /// Replicates an encoded proposal, if this node leads and its disk has room.
    pub(crate) async fn append(&self, encoded: Bytes) -> Result<Vec<Response>, Unanswered> {
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

/// Appends the batches at once, each as an entry of its own.
async fn append_all(raft: &Raft, batches: Vec<Bytes>) -> Vec<Result<Vec<Response>, Unanswered>> {
    let count = batches.len();
    let mut answers = Vec::with_capacity(count);
    let appended: Result<(), Fatal<_>> = async {
        let mut written = raft.client_write_many(batches.into_iter().map(EncodedProposal)).await?;
        while let Some(result) = written.try_next().await? {
            answers.push(match result {
                Ok(written) => Ok(written.response.0),
                // Repeating is safe: the serial makes the proposal apply once, wherever it ended up.
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
