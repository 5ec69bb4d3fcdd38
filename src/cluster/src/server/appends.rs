//! Appends from a leader.

use std::sync::Arc;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult};
use tokio::sync::mpsc;

use crate::raft::Raft;
use crate::server::PeerServer;
use crate::wire::message::{AppendOutcome, Reply};
use crate::wire::raft_codec;
use crate::wire::raft_types::TypeConfig;

/// The most appends of one connection that wait for Raft.
const APPEND_QUEUE: usize = 64;

/// A stream of appends in progress: the channel for its requests, and the ids of its replies.
pub(super) struct Appending {
    pub(super) stream: u64,
    pub(super) requests: mpsc::Sender<AppendEntriesRequest<TypeConfig>>,
    pub(super) ids: mpsc::UnboundedSender<u64>,
}

/// Handles an append that belongs to no stream, such as a heartbeat.
pub(super) async fn append_alone(raft: &Raft, rpc: AppendEntriesRequest<TypeConfig>) -> Reply {
    let previous = rpc.prev_log_id;
    let last = rpc.entries.last().map(|entry| entry.log_id).or(previous);
    match raft.append_entries(rpc).await {
        Ok(AppendEntriesResponse::Conflict) if previous.is_none() => {
            Reply::Failed("a conflict with no entry before".into())
        }
        Ok(answer) => Reply::Appended(append_outcome(answer.into_stream_result(previous, last))),
        Err(error) => Reply::Failed(error.to_string()),
    }
}

/// Begins a stream of appends: Raft answers them in order, and each answer gets the next id.
pub(super) fn begin_appending(
    stream: u64,
    server: &Arc<PeerServer>,
    replies: mpsc::Sender<(u64, Reply)>,
) -> Appending {
    let (requests, mut queue) = mpsc::channel(APPEND_QUEUE);
    let (ids, mut pending) = mpsc::unbounded_channel();
    let input = futures::stream::poll_fn(move |context| queue.poll_recv(context));
    let raft = server.endpoint.raft.clone();
    tokio::spawn(async move {
        use futures::StreamExt as _;
        let outcomes = raft.stream_append(input);
        futures::pin_mut!(outcomes);
        while let Some(outcome) = outcomes.next().await {
            let Some(id) = pending.recv().await else { return };
            let reply = match outcome {
                Ok(outcome) => Reply::Appended(append_outcome(outcome)),
                Err(fatal) => Reply::Failed(fatal.to_string()),
            };
            if replies.send((id, reply)).await.is_err() {
                return;
            }
        }
        // The stream ended at a conflict; appends that were sent after it are stale.
        while let Some(id) = pending.recv().await {
            if replies.send((id, Reply::Appended(AppendOutcome::Stale))).await.is_err() {
                return;
            }
        }
    });
    Appending { stream, requests, ids }
}

fn append_outcome(outcome: StreamAppendResult<TypeConfig>) -> AppendOutcome {
    match outcome {
        Ok(stored) => AppendOutcome::Stored(stored.as_ref().map(raft_codec::position)),
        Err(StreamAppendError::Conflict(at)) => AppendOutcome::Conflict(raft_codec::position(&at)),
        Err(StreamAppendError::HigherVote(vote)) => AppendOutcome::HigherVote(raft_codec::stored_vote(&vote)),
    }
}
