//! The listening side between nodes: proves who connects, then answers requests.
//!
//! A connection is served only when the certificate's node id equals the id claimed. Appends of a
//! connection go through Raft in order; other requests are answered as they finish.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, VoteRequest,
};
use openraft::storage::Snapshot;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::codec::{self, Kind};
use crate::crypto::{JOIN_ALPN, PeerIdentity};
use crate::state::FEATURE_LEVEL;
use crate::store::{Incoming, StoredVote};

use super::backup::BackupSource;
use super::frame::{self, Frame};
use super::join::check_level;
use super::join_server;
use super::leader::Unanswered;
use super::message::{AppendOutcome, Hello, NO_STREAM, PROTOCOL, Reply, Request};
use super::node::{ADMIN_DEADLINE, Node};
use super::snapshot_transfer::SnapshotData;
use super::types::{Raft, TypeConfig, Vote};
use super::wire::{self, AppliedMark, WireEntry};

/// How long TLS and greeting may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests of one connection that are answered at the same time.
const CONCURRENT_REQUESTS_MAX: usize = 1024;
/// How long a change of the members may take here; who asked waits as long, and asks again.
const CHANGE_DEADLINE: Duration = Duration::from_secs(10);
/// What a node without room tells whoever wants it to store something.
const DISK_FULL: &str = "its disk is nearly full: it stores nothing";
/// Appends of one connection that wait for Raft.
const APPEND_QUEUE: usize = 64;

/// Accepts peers until the listener fails or the task is aborted.
pub async fn listen(listener: TcpListener, acceptor: TlsAcceptor, node: Arc<Node>) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let (acceptor, node) = (acceptor.clone(), node.clone());
                tokio::spawn(async move {
                    if let Err(error) = connection(stream, acceptor, node).await {
                        tracing::debug!(peer = %address, %error, "a peer connection ended");
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: others may close theirs.
                tracing::warn!(%error, "cannot accept a peer connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, node: Arc<Node>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let accepted = tokio::time::timeout(GREETING_TIMEOUT, acceptor.accept(stream)).await??;
    let (_, session) = accepted.get_ref();
    // Whoever shows no certificate may ask to join, and nothing else.
    if session.peer_certificates().is_none() {
        return match session.alpn_protocol() {
            Some(JOIN_ALPN) => join_server::serve(accepted, &node).await,
            _ => Err(invalid("a peer shows no certificate")),
        };
    }
    let identity =
        PeerIdentity::of_connection(session.peer_certificates(), &node.cluster).map_err(invalid)?;
    welcome(accepted, identity, node).await
}

/// Greets and serves whoever has proved to be `identity`, until the connection ends.
pub(super) async fn welcome<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    mut stream: S,
    identity: PeerIdentity,
    node: Arc<Node>,
) -> std::io::Result<()> {
    let greeting = greet(&mut stream, identity, &node);
    let theirs = tokio::time::timeout(GREETING_TIMEOUT, greeting).await??;
    serve(stream, identity, node, theirs.fence).await
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
}

/// Answers the peer's hello with ours, and then decides: so that each side can say what is wrong.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    identity: PeerIdentity,
    node: &Node,
) -> std::io::Result<Hello> {
    let frame = frame::read(stream).await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let theirs: Hello = codec::decode(Kind::Hello, &frame.body).map_err(invalid)?;
    let expelled = node.is_expelled(identity);
    let refusal = refusal(&theirs, &identity, expelled, node);
    // Judged before we answer: a node that belongs to nobody answers with the fence it takes over now.
    let admitted = match (&refusal, theirs.fence) {
        (None, Some(fence)) => node.fence.admit(theirs.node.unwrap_or_default(), fence),
        _ => Ok(()),
    };
    let ours = Hello {
        protocol: PROTOCOL,
        cluster: node.cluster.as_str().to_owned(),
        node: Some(node.id),
        fence: Some(node.fence.current()),
        feature_level: node.end.feature_level(),
        expelled,
    };
    let body = codec::encode(Kind::Hello, &ours).map_err(invalid)?;
    frame::write(stream, &Frame { id: frame.id, body: body.into() }).await?;
    stream.flush().await?;
    if let Some(refusal) = refusal {
        tracing::warn!(reason = %refusal, "a peer was refused");
        return Err(invalid(refusal));
    }
    admitted.map(|()| theirs).map_err(invalid)
}

/// What is wrong with a greeting, apart from its fence.
fn refusal(theirs: &Hello, identity: &PeerIdentity, expelled: bool, node: &Node) -> Option<String> {
    let claimed_is_proved = match identity {
        PeerIdentity::Node(id) => theirs.node == Some(*id),
        PeerIdentity::Operator => theirs.node.is_none(),
    };
    if !claimed_is_proved {
        Some(format!("a peer claims to be {:?} but its certificate says {identity:?}", theirs.node))
    } else if theirs.cluster != node.cluster.as_str() {
        Some(format!("a peer belongs to the cluster {:?}", theirs.cluster))
    } else if theirs.protocol != PROTOCOL {
        Some(format!("a peer speaks protocol {}, not {PROTOCOL}", theirs.protocol))
    } else if expelled {
        Some(format!("{identity:?} was removed from the cluster"))
    } else if let Err(reason) = check_level(theirs.feature_level, FEATURE_LEVEL) {
        node.end.say(&reason);
        Some(reason)
    } else {
        None
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    identity: PeerIdentity,
    node: Arc<Node>,
    fence: Option<u64>,
) -> std::io::Result<()> {
    let (reader, writer) = tokio::io::split(stream);
    let (replies, outbox) = mpsc::channel(CONCURRENT_REQUESTS_MAX);
    let writing = tokio::spawn(write_replies(writer, outbox));
    let mut session = Session::new(node, identity, replies, fence);
    let mut reader = BufReader::with_capacity(64 * 1024, reader);
    let outcome = loop {
        match frame::read(&mut reader).await {
            Ok(Some(frame)) => {
                if let Err(error) = session.handle(frame).await {
                    break Err(error);
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(session);
    writing.abort();
    outcome
}

async fn write_replies<W: AsyncWrite + Unpin>(writer: W, mut outbox: mpsc::Receiver<(u64, Reply)>) {
    let mut writer = BufWriter::with_capacity(64 * 1024, writer);
    while let Some(first) = outbox.recv().await {
        let mut next = Some(first);
        while let Some((id, reply)) = next {
            let body = match codec::encode(Kind::Frame, &reply) {
                Ok(body) => body,
                Err(error) => {
                    tracing::error!(%error, "a reply to a peer cannot be encoded");
                    return;
                }
            };
            if frame::write(&mut writer, &Frame { id, body: body.into() }).await.is_err() {
                return;
            }
            next = outbox.try_recv().ok();
        }
        if writer.flush().await.is_err() {
            return;
        }
    }
}

/// A stream of appends under way: where its requests go, and which ids its replies bear.
struct Appending {
    stream: u64,
    requests: mpsc::Sender<AppendEntriesRequest<TypeConfig>>,
    ids: mpsc::UnboundedSender<u64>,
}

/// A snapshot being received.
struct Receiving {
    vote: Vote,
    mark: AppliedMark,
    incoming: Incoming,
}

/// What one connection needs to remember.
struct Session {
    node: Arc<Node>,
    identity: PeerIdentity,
    replies: mpsc::Sender<(u64, Reply)>,
    permits: Arc<Semaphore>,
    appending: Option<Appending>,
    receiving: Option<Receiving>,
    /// A backup being sent.
    backup: Option<BackupSource>,
    /// The peer's fence. Whoever named none may administer, and do nothing that a member does.
    fence: Option<u64>,
}

impl Session {
    fn new(
        node: Arc<Node>,
        identity: PeerIdentity,
        replies: mpsc::Sender<(u64, Reply)>,
        fence: Option<u64>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(CONCURRENT_REQUESTS_MAX));
        Self { node, identity, replies, permits, appending: None, receiving: None, backup: None, fence }
    }

    async fn handle(&mut self, frame: Frame) -> std::io::Result<()> {
        if self.node.is_expelled(self.identity) {
            return self.reply(frame.id, Reply::Expelled).await;
        }
        let request: Request = codec::decode(Kind::Frame, &frame.body).map_err(invalid)?;
        match self.fence {
            None if !request.is_administration() => {
                let refusal = Reply::Failed("only members of the cluster may ask this".into());
                return self.reply(frame.id, refusal).await;
            }
            // This node belonged to nobody when they greeted, and now belongs to others.
            Some(fence) if fence != self.node.fence.current() => return Err(invalid("another fence by now")),
            _ => {}
        }
        match request {
            Request::Append { .. } => self.append(frame.id, request).await,
            Request::SnapshotBegin { .. } | Request::SnapshotChunk(_) | Request::SnapshotEnd => {
                let reply = match self.snapshot(request).await {
                    Ok(reply) => reply,
                    Err(error) => {
                        tracing::warn!(%error, "a snapshot could not be received");
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
            Request::StandsBy(vote) => {
                let stands = self.node.rounds.index.standing().stands_by(&vote);
                self.reply(frame.id, Reply::StandsBy(stands)).await
            }
            Request::ReadIndex { vote: Some(vote) } if let Some(index) = self.index_for_asker(&vote) => {
                self.reply(frame.id, Reply::ReadIndex { index }).await
            }
            request => {
                let permit = self.permits.clone().acquire_owned().await.map_err(invalid)?;
                let (node, replies) = (self.node.clone(), self.replies.clone());
                let identity = self.identity;
                tokio::spawn(async move {
                    let reply = answer(&node, identity, request).await;
                    let _ = replies.send((frame.id, reply)).await;
                    drop(permit);
                });
                Ok(())
            }
        }
    }

    async fn reply(&self, id: u64, reply: Reply) -> std::io::Result<()> {
        self.replies.send((id, reply)).await.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn index_for_asker(&self, vote: &StoredVote) -> Option<u64> {
        match self.identity {
            PeerIdentity::Node(id) => self.node.rounds.index.answer_voter(id, vote),
            PeerIdentity::Operator => None,
        }
    }

    async fn append(&mut self, id: u64, request: Request) -> std::io::Result<()> {
        let Request::Append { stream, vote, previous, entries, commit } = request else {
            return Ok(());
        };
        if self.node.disk.is_read_only() && self.would_store(&entries) {
            // Heartbeats hold no entries: the node stays a follower, and is sent these again.
            return self.reply(id, Reply::Failed(DISK_FULL.into())).await;
        }
        let entries = entries.into_iter().map(|entry| wire::entry(&entry.at, entry.payload));
        let rpc = AppendEntriesRequest {
            vote: wire::vote(&vote),
            prev_log_id: previous.as_ref().map(wire::log_id),
            entries: entries.collect::<Result<_, _>>().map_err(invalid)?,
            leader_commit: commit.as_ref().map(wire::log_id),
        };
        if stream == NO_STREAM {
            let (raft, replies) = (self.node.raft.clone(), self.replies.clone());
            let permit = self.permits.clone().acquire_owned().await.map_err(invalid)?;
            tokio::spawn(async move {
                let _ = replies.send((id, append_alone(&raft, rpc).await)).await;
                drop(permit);
            });
            return Ok(());
        }
        let appending = match &mut self.appending {
            Some(appending) if appending.stream == stream => appending,
            other => other.insert(begin_appending(stream, &self.node, self.replies.clone())),
        };
        if appending.ids.send(id).is_ok() && appending.requests.send(rpc).await.is_ok() {
            return Ok(());
        }
        self.reply(id, Reply::Appended(AppendOutcome::Stale)).await
    }

    async fn begin_backup(&mut self, local: bool) -> Reply {
        self.backup = None;
        match BackupSource::begin(&self.node, local, Instant::now() + ADMIN_DEADLINE).await {
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
        match source.next(&self.node).await {
            Ok((rest, piece)) => {
                self.backup = rest;
                Reply::BackupPiece(piece)
            }
            Err(error) => Reply::Failed(error.to_string()),
        }
    }

    /// Whether these hold a proposal that this node does not have; a new leader sends old ones too.
    fn would_store(&self, entries: &[WireEntry]) -> bool {
        let last = self.node.raft.metrics().borrow_watched().last_log_index;
        entries.iter().any(|entry| !entry.payload.is_empty() && Some(entry.at.index) > last)
    }

    async fn snapshot(&mut self, request: Request) -> std::io::Result<Reply> {
        match request {
            Request::SnapshotBegin { .. } if self.node.disk.is_read_only() => {
                Ok(Reply::Failed(DISK_FULL.into()))
            }
            Request::SnapshotBegin { vote, mark } => {
                let incoming = self.node.directory.receive().map_err(invalid)?;
                self.receiving = Some(Receiving { vote: wire::vote(&vote), mark, incoming });
                Ok(Reply::SnapshotReceived)
            }
            Request::SnapshotChunk(chunk) => {
                let mut receiving = self.receiving.take().ok_or_else(|| invalid("a chunk of no snapshot"))?;
                let written =
                    tokio::task::spawn_blocking(move || receiving.incoming.write(&chunk).map(|()| receiving));
                self.receiving = Some(written.await.map_err(invalid)?.map_err(invalid)?);
                Ok(Reply::SnapshotReceived)
            }
            _ => {
                let receiving = self.receiving.take().ok_or_else(|| invalid("the end of no snapshot"))?;
                install(&self.node, receiving).await
            }
        }
    }
}

/// Hands a complete snapshot to Raft. It is verified here, before Raft can rely on it.
async fn install(node: &Node, receiving: Receiving) -> std::io::Result<Reply> {
    let Receiving { vote, mark, incoming } = receiving;
    let verified = tokio::task::spawn_blocking(move || incoming.finish());
    let reader = verified.await.map_err(invalid)?.map_err(invalid)?;
    node.metrics.snapshot_bytes.set(i64::try_from(reader.byte_count()).unwrap_or(i64::MAX));
    let (last_log_id, last_membership) = wire::unmark(mark)?;
    let meta = openraft::storage::SnapshotMeta { last_log_id, last_membership };
    let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(reader) };
    let installed = node.raft.install_full_snapshot(vote, snapshot).await.map_err(invalid)?;
    Ok(Reply::SnapshotInstalled { vote: wire::stored_vote(&installed.vote) })
}

/// An append that belongs to no stream, as heartbeats do.
async fn append_alone(raft: &Raft, rpc: AppendEntriesRequest<TypeConfig>) -> Reply {
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

/// Begins a stream of appends: Raft answers them in order, each answer bears the next id.
fn begin_appending(stream: u64, node: &Arc<Node>, replies: mpsc::Sender<(u64, Reply)>) -> Appending {
    let (requests, mut queue) = mpsc::channel(APPEND_QUEUE);
    let (ids, mut pending) = mpsc::unbounded_channel();
    let input = futures::stream::poll_fn(move |context| queue.poll_recv(context));
    let raft = node.raft.clone();
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
        // The stream ended at a conflict; what was sent behind it does not count.
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
        Ok(stored) => AppendOutcome::Stored(stored.as_ref().map(wire::position)),
        Err(StreamAppendError::Conflict(at)) => AppendOutcome::Conflict(wire::position(&at)),
        Err(StreamAppendError::HigherVote(vote)) => AppendOutcome::HigherVote(wire::stored_vote(&vote)),
    }
}

async fn answer(node: &Arc<Node>, identity: PeerIdentity, request: Request) -> Reply {
    match request {
        Request::Vote { rehearsal, vote, last, transfer } => {
            let mut rpc = VoteRequest::new(wire::vote(&vote), last.as_ref().map(wire::log_id));
            rpc.leadership_transfer = transfer;
            vote_reply(node, rpc, rehearsal).await
        }
        Request::TransferLeader { from, to, last } => {
            let rpc = TransferLeaderRequest::new(wire::vote(&from), to, last.as_ref().map(wire::log_id));
            match node.raft.handle_transfer_leader(rpc).await {
                Ok(answer) => Reply::Transferred(answer.is_ok()),
                Err(fatal) => Reply::Failed(fatal.to_string()),
            }
        }
        Request::Propose(encoded) => match node.flights.appends.append(encoded).await {
            Ok(responses) => Reply::Applied(responses),
            Err(unanswered) => not_leader(&unanswered),
        },
        Request::ReadIndex { .. } => match node.rounds.index.read_for_peer().await {
            Ok(index) => Reply::ReadIndex { index },
            Err(unanswered) => not_leader(&unanswered),
        },
        Request::Admin(request) => Reply::Admin(node.administer(request).await),
        Request::ChangeMembers(request) => {
            match node.change_here(request, Instant::now() + CHANGE_DEADLINE).await {
                Ok(plan) => Reply::Planned(Box::new(plan)),
                Err(unanswered) => not_leader(&unanswered),
            }
        }
        Request::Ping => Reply::Pong,
        Request::Join(request) => match identity {
            PeerIdentity::Node(id) => {
                let deadline = Instant::now() + CHANGE_DEADLINE;
                Reply::Joined(Box::new(node.join(*request, Some(id), deadline).await))
            }
            PeerIdentity::Operator => Reply::Failed("an operator's certificate is no node's".into()),
        },
        Request::Append { .. }
        | Request::SnapshotBegin { .. }
        | Request::SnapshotChunk(_)
        | Request::SnapshotEnd
        | Request::BackupBegin { .. }
        | Request::BackupNext
        | Request::StandsBy(_) => Reply::Failed("answered in order, elsewhere".into()),
    }
}

fn not_leader(unanswered: &Unanswered) -> Reply {
    match unanswered {
        Unanswered::Retry => Reply::NotLeader,
        Unanswered::DiskFull => Reply::DiskFull,
        Unanswered::Stopped => Reply::Failed("raft has stopped".into()),
    }
}

async fn vote_reply(node: &Node, rpc: VoteRequest<TypeConfig>, rehearsal: bool) -> Reply {
    // A leader that hands over has given up its lease itself.
    if node.is_voting_too_early() && !rpc.leadership_transfer {
        return Reply::Failed("just started: it may have promised a lease before".into());
    }
    let voted = if rehearsal { node.raft.pre_vote(rpc).await } else { node.raft.vote(rpc).await };
    match voted {
        Ok(response) => Reply::Voted {
            vote: wire::stored_vote(&response.vote),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(wire::position),
        },
        Err(error) => Reply::Failed(error.to_string()),
    }
}
