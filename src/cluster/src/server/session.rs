//! The requests of one connection, in order.

use std::sync::Arc;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::AppendEntriesRequest;
use openraft::storage::Snapshot;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_store::{Incoming, LogPosition, StoredVote};

use super::answers::{Asker, answer};
use super::appends::{Appending, append_alone, begin_appending};
use super::{CONCURRENT_REQUESTS_MAX, Caller, invalid};
use crate::backup::BackupSource;
use crate::ops::admin::ADMIN_DEADLINE;
use crate::peer::known_keys::{Entry, holds_all};
use crate::peer::proof;
use crate::raft::snapshot_transfer::{self, SnapshotData};
use crate::server::PeerServer;
use crate::wire::frame::Frame;
use crate::wire::message::{AppendOutcome, NO_STREAM, Reply, Request};
use crate::wire::raft_codec::{self, AppliedMark, WireEntry};
use crate::wire::raft_types::Vote;

/// The refusal of a node whose disk is too full to store anything.
const DISK_FULL: &str = "its disk is nearly full: it stores nothing";

/// The answer of a witness to what it may not answer.
const KEYLESS: &str = "this node is a witness: it holds no master key, votes, and answers nothing but its status; ask \
                       another node";

/// A snapshot that is being received.
struct Receiving {
    vote: Vote,
    mark: AppliedMark,
    incoming: Incoming,
}

/// The state of one connection.
pub(super) struct Session {
    server: Arc<PeerServer>,
    caller: Caller,
    replies: mpsc::Sender<(u64, Reply)>,
    permits: Arc<Semaphore>,
    appending: Option<Appending>,
    receiving: Option<Receiving>,
    /// A backup that is being sent.
    backup: Option<BackupSource>,
}

impl Session {
    pub(super) fn new(server: Arc<PeerServer>, caller: Caller, replies: mpsc::Sender<(u64, Reply)>) -> Self {
        let permits = Arc::new(Semaphore::new(CONCURRENT_REQUESTS_MAX));
        Self { server, caller, replies, permits, appending: None, receiving: None, backup: None }
    }

    pub(super) async fn handle(&mut self, frame: Frame) -> std::io::Result<()> {
        if let Some(live) = &self.caller.live {
            live.hear();
        }
        if self.server.removed.contains(self.caller.node) {
            return self.reply(frame.id, Reply::Removed).await;
        }
        let request: Request = codec::decode(Kind::Frame, &frame.body).map_err(invalid)?;
        match self.caller.fence {
            None if !request.is_administration() => {
                let refusal = Reply::Failed("only members of the cluster may ask this".into());
                return self.reply(frame.id, refusal).await;
            }
            // This node belonged to no cluster at the greeting, and now has another fence.
            Some(fence) if fence != self.server.fence.current() => {
                return Err(invalid("another fence by now"));
            }
            _ => {}
        }
        if let Some(reason) = self.shut_out(&request) {
            self.server.refusal_log.note("certificate", self.caller.from, &reason);
            return self.reply(frame.id, Reply::Failed(reason)).await;
        }
        let is_witness = matches!(self.caller.entry, Entry::Witness(_));
        let proof = self.caller.proof.verdict(&self.server.local.prover());
        if let Err(refusal) = proof
            && !is_witness
            && let Some(what) = self.proof_needed_for(&request)
        {
            let reason = proof::proof_required(refusal);
            self.server.refusal_log.note(what, self.caller.from, &reason);
            if self.caller.fence.is_some() {
                self.server.fence.refusals().note(self.caller.node, reason.clone());
            }
            return self.reply(frame.id, Reply::Failed(reason)).await;
        }
        if self.server.local.is_witness() && !request.is_for_witness() {
            return self.reply(frame.id, Reply::Failed(KEYLESS.into())).await;
        }
        match request {
            Request::Append { .. } => self.append(frame.id, request).await,
            Request::SnapshotBegin { .. } | Request::SnapshotChunk(_) | Request::SnapshotEnd => {
                let reply = match self.snapshot(request).await {
                    Ok(reply) => reply,
                    Err(error) => {
                        self.server.refusal_log.log("snapshot", self.caller.from, &error.to_string());
                        Reply::Failed(error.to_string())
                    }
                };
                self.reply(frame.id, reply).await
            }
            Request::BackupBegin { local } => {
                let reply = self.begin_backup(local).await;
                self.reply(frame.id, reply).await
            }
            Request::BackupNext => {
                let reply = self.continue_backup().await;
                self.reply(frame.id, reply).await
            }
            Request::Supports(vote) => {
                let supports = self.server.services.barrier.read_index.ledger().supports(&vote);
                self.reply(frame.id, Reply::Supports(supports)).await
            }
            Request::ReadIndexOf(vote) if let Some(index) = self.index_for_asker(&vote) => {
                self.reply(frame.id, Reply::ReadIndex { index }).await
            }
            request => {
                let permit = self.permits.clone().acquire_owned().await.map_err(invalid)?;
                let (server, replies) = (self.server.clone(), self.replies.clone());
                let key = self.caller.channel.peer_key;
                let (node, from) = (self.caller.node, self.caller.from);
                let version = self.caller.channel.version;
                let asker = Asker { node, key, from, is_witness, version, proof };
                tokio::spawn(async move {
                    let reply = answer(&server, asker, request).await;
                    let _ = replies.send((frame.id, reply)).await;
                    drop(permit);
                });
                Ok(())
            }
        }
    }

    /// Why the peer's key does not permit this request, if it does not.
    fn shut_out(&mut self, request: &Request) -> Option<String> {
        if matches!(self.caller.entry, Entry::Unsure(_)) {
            // The state may have caught up.
            self.caller.entry = self.server.local.keys.judge(self.caller.node, &self.caller.channel);
        }
        let entry = &self.caller.entry;
        entry.reason().filter(|_| !entry.permits(request)).map(str::to_owned)
    }

    async fn reply(&self, id: u64, reply: Reply) -> std::io::Result<()> {
        self.replies.send((id, reply)).await.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn index_for_asker(&self, vote: &StoredVote) -> Option<u64> {
        self.server.services.barrier.read_index.answer_voter(self.caller.node, vote)
    }

    /// The label of the refusal metric, if the request needs proof of a master key: some always do, and from
    /// feature level 4 on all.
    fn proof_needed_for(&self, request: &Request) -> Option<&'static str> {
        let version = self.caller.channel.version;
        let is_demanded = || self.server.local.demands_proof(version, proof::DIALLER_PROVES);
        request.proof_needed_for().or_else(|| is_demanded().then_some("peer"))
    }

    async fn append(&mut self, id: u64, request: Request) -> std::io::Result<()> {
        let Request::Append { stream, vote, previous, entries, commit } = request else {
            return Ok(());
        };
        if self.server.endpoint.disk.is_read_only() && self.would_store(&entries) {
            // Heartbeats hold no entries: the node stays a follower, and these entries are sent
            // again.
            return self.reply(id, Reply::Failed(DISK_FULL.into())).await;
        }
        self.note_commit(&vote, commit.as_ref());
        let entries = entries.into_iter().map(|entry| raft_codec::entry(&entry.at, entry.payload));
        let rpc = AppendEntriesRequest {
            vote: raft_codec::vote(&vote),
            prev_log_id: previous.as_ref().map(raft_codec::log_id),
            entries: entries.collect::<Result<_, _>>().map_err(invalid)?,
            leader_commit: commit.as_ref().map(raft_codec::log_id),
        };
        if stream == NO_STREAM {
            let (raft, replies) = (self.server.endpoint.raft.clone(), self.replies.clone());
            let permit = self.permits.clone().acquire_owned().await.map_err(invalid)?;
            tokio::spawn(async move {
                let _ = replies.send((id, append_alone(&raft, rpc).await)).await;
                drop(permit);
            });
            return Ok(());
        }
        let appending = match &mut self.appending {
            Some(appending) if appending.stream == stream => appending,
            other => other.insert(begin_appending(stream, &self.server, self.replies.clone())),
        };
        if appending.ids.send(id).is_ok() && appending.requests.send(rpc).await.is_ok() {
            return Ok(());
        }
        self.reply(id, Reply::Appended(AppendOutcome::Stale)).await
    }

    /// Notes what the leader says is committed.
    fn note_commit(&self, vote: &StoredVote, commit: Option<&LogPosition>) {
        let applied = || {
            let metrics = self.server.endpoint.raft.metrics();
            metrics.borrow_watched().last_applied.as_ref().map(|at| at.index)
        };
        self.server.services.barrier.contact.hear(commit.map(|at| at.index));
        self.server.local.keys.note_current(|| holds_all(vote.term, commit, applied()));
    }

    async fn begin_backup(&mut self, local: bool) -> Reply {
        self.backup = None;
        let (backups, deadline) = (&self.server.services.backups, Instant::now() + ADMIN_DEADLINE);
        match BackupSource::begin(backups, local, "an operator", deadline).await {
            Ok((source, first)) => {
                self.backup = Some(source);
                Reply::BackupBegun(first)
            }
            Err(error) => Reply::Failed(error.to_string()),
        }
    }

    async fn continue_backup(&mut self) -> Reply {
        let Some(source) = self.backup.take() else {
            return Reply::Failed("no backup is under way on this connection; begin it again".into());
        };
        match source.next(&self.server.services.backups).await {
            Ok((rest, piece)) => {
                self.backup = rest;
                Reply::BackupPiece(piece)
            }
            Err(error) => Reply::Failed(error.to_string()),
        }
    }

    /// Whether these hold a proposal that this node does not have; a new leader also sends old
    /// ones.
    fn would_store(&self, entries: &[WireEntry]) -> bool {
        let last = self.server.endpoint.raft.metrics().borrow_watched().last_log_index;
        entries.iter().any(|entry| !entry.payload.is_empty() && Some(entry.at.index) > last)
    }

    async fn snapshot(&mut self, request: Request) -> std::io::Result<Reply> {
        match request {
            Request::SnapshotBegin { .. } if self.server.endpoint.disk.is_read_only() => {
                Ok(Reply::Failed(DISK_FULL.into()))
            }
            // A state that may be wrong is not copied: it would get a majority so.
            Request::SnapshotBegin { .. } if let Err(why) = self.server.services.forwarder.hold.check() => {
                Ok(Reply::Failed(why.to_string()))
            }
            Request::SnapshotBegin { vote, mark } => {
                self.server.services.barrier.contact.hear(mark.applied.as_ref().map(|at| at.index));
                let incoming = self.server.endpoint.directory.receive().map_err(invalid)?;
                self.receiving = Some(Receiving { vote: raft_codec::vote(&vote), mark, incoming });
                Ok(Reply::SnapshotReceived)
            }
            Request::SnapshotChunk(chunk) => {
                self.server.services.barrier.contact.hear(None);
                let mut receiving = self.receiving.take().ok_or_else(|| invalid("a chunk of no snapshot"))?;
                let written =
                    tokio::task::spawn_blocking(move || receiving.incoming.write(&chunk).map(|()| receiving));
                self.receiving = Some(written.await.map_err(invalid)?.map_err(invalid)?);
                Ok(Reply::SnapshotReceived)
            }
            _ => {
                let receiving = self.receiving.take().ok_or_else(|| invalid("the end of no snapshot"))?;
                install(&self.server, receiving).await
            }
        }
    }
}

/// Passes a complete snapshot to Raft, after it is verified.
async fn install(server: &PeerServer, receiving: Receiving) -> std::io::Result<Reply> {
    let Receiving { vote, mark, incoming } = receiving;
    let verified = tokio::task::spawn_blocking(move || incoming.finish());
    let reader = verified.await.map_err(invalid)?.map_err(invalid)?;
    server.endpoint.metrics.snapshot_bytes.set(i64::try_from(reader.byte_count()).unwrap_or(i64::MAX));
    let (last_log_id, last_membership) = raft_codec::unmark(mark)?;
    let meta = openraft::storage::SnapshotMeta { last_log_id, last_membership };
    let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(reader) };
    let vote = snapshot_transfer::install(&server.endpoint.raft, vote, snapshot).await.map_err(invalid)?;
    Ok(Reply::SnapshotInstalled { vote: raft_codec::stored_vote(&vote) })
}
