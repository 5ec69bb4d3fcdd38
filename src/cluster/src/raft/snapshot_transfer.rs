//! Sending a snapshot: streamed from a view of the sender's state, chunk by chunk, at a bounded
//! rate, into a file that the receiver verifies completely before it is installed.

use std::io;
use std::time::Duration;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_store::{SnapshotReader, SnapshotWriter, View};

use crate::peer::link::{Link, LinkError};
use crate::raft::Raft;
use crate::wire::message::{Reply, Request};
use crate::wire::raft_codec;
use crate::wire::raft_types::{TypeConfig, Vote};

/// The time limit for a chunk.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit for verifying and installing the whole snapshot.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

/// A snapshot: a view of this node's state, or a file received from a peer.
#[derive(Debug)]
pub(crate) enum SnapshotData {
    /// A consistent view: made at once, and sent while it is read.
    View(View),
    /// A received and verified file.
    Received(SnapshotReader),
}

pub(crate) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// Why a snapshot was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// The peer or the connection to it failed.
    #[error("the peer did not take it")]
    Link(#[from] LinkError),
    /// The state could not be read.
    #[error("the state could not be read")]
    Store(#[from] keymoot_store::StoreError),
    /// The description could not be encoded.
    #[error("its description could not be encoded")]
    Codec(#[from] keymoot_codec::CodecError),
    /// openraft passed a snapshot that this node received; it only ever sends views.
    #[error("only a view of the state can be sent")]
    NotAView,
    /// The peer refused the snapshot.
    #[error("the peer refused: {0}")]
    Refused(String),
}

/// Sends a snapshot and waits until the peer has installed it; returns the peer's vote.
pub(crate) async fn send(
    link: &Link,
    vote: Vote,
    snapshot: Snapshot,
    bytes_per_s: u64,
) -> Result<Vote, SendError> {
    let SnapshotData::View(view) = snapshot.snapshot else {
        return Err(SendError::NotAView);
    };
    let mark = raft_codec::mark(snapshot.meta.last_log_id.as_ref(), &snapshot.meta.last_membership);
    let mut chunks = SnapshotWriter::new(view, codec::encode(Kind::Mark, &mark)?);
    expect_received(link, Request::SnapshotBegin { vote: raft_codec::stored_vote(&vote), mark }).await?;
    let started = tokio::time::Instant::now();
    let mut sent_bytes = 0_u64;
    loop {
        // Reading is fast, but a disk may be slow, so it is kept off the runtime's threads.
        let (returned, chunk) = tokio::task::spawn_blocking(move || {
            let chunk = chunks.next().transpose();
            (chunks, chunk)
        })
        .await
        .map_err(|error| SendError::Refused(error.to_string()))?;
        chunks = returned;
        let Some(chunk) = chunk? else { break };
        sent_bytes += chunk.len() as u64;
        expect_received(link, Request::SnapshotChunk(chunk)).await?;
        let due = Duration::from_secs_f64(sent_bytes as f64 / bytes_per_s.max(1) as f64);
        tokio::time::sleep_until(started + due).await;
    }
    tracing::info!(bytes = sent_bytes, took_ms = started.elapsed().as_millis() as u64, "snapshot sent");
    match link.call(Request::SnapshotEnd, INSTALL_TIMEOUT).await? {
        Reply::SnapshotInstalled { vote } => Ok(raft_codec::vote(&vote)),
        other => Err(refused(other)),
    }
}

/// Installs a snapshot from the leader with this vote; returns this node's vote.
///
/// It is installed only where the log does not reach its last entry. The log that does holds the same entries:
/// they are committed, as the snapshot is, and this waits until they are on the disk. openraft would take such
/// a snapshot for a later write than those entries: see <https://github.com/databendlabs/openraft/issues/2116>
/// and `docs/watched-issues.md`.
pub(crate) async fn install(raft: &Raft, vote: Vote, snapshot: Snapshot) -> io::Result<Vote> {
    let last = snapshot.meta.last_log_id;
    let reaches = AppendEntriesRequest { vote, prev_log_id: last, entries: Vec::new(), leader_commit: last };
    match raft.append_entries(reaches).await.map_err(io::Error::other)? {
        AppendEntriesResponse::HigherVote(higher) => Ok(higher),
        AppendEntriesResponse::Conflict => {
            let installed = raft.install_full_snapshot(vote, snapshot).await.map_err(io::Error::other)?;
            Ok(installed.vote)
        }
        AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_) => {
            tracing::info!(
                index = last.map(|last| last.index),
                "a snapshot of what the log holds is not needed"
            );
            Ok(vote)
        }
    }
}

async fn expect_received(link: &Link, request: Request) -> Result<(), SendError> {
    match link.call(request, CHUNK_TIMEOUT).await? {
        Reply::SnapshotReceived => Ok(()),
        other => Err(refused(other)),
    }
}

fn refused(reply: Reply) -> SendError {
    match reply {
        Reply::Failed(reason) => SendError::Refused(reason),
        _ => SendError::Refused("it answered another question".into()),
    }
}
