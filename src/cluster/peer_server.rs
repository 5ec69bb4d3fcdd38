//! The listening side between nodes: proves who connects, then answers requests.
//!
//! A connection is served only when the certificate's node id equals the id claimed. Appends of a
//! connection go through Raft in order; other requests are answered as they finish.

use std::sync::Arc;
use std::time::Duration;

use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderRequest, VoteRequest,
};
use openraft::storage::Snapshot;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

use crate::codec::{self, Kind};
use crate::crypto::PeerIdentity;
use crate::store::Incoming;

use super::barrier::read_index;
use super::frame::{self, Frame};
use super::leader::Unanswered;
use super::message::{AppendOutcome, Hello, PROTOCOL, Reply, Request};
use super::node::Node;
use super::proposer::propose_here;
use super::snapshot_transfer::SnapshotData;
use super::types::{TypeConfig, Vote};
use super::wire::{self, AppliedMark};

/// How long TLS and greeting may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests of one connection that are answered at the same time.
const CONCURRENT_REQUESTS_MAX: usize = 1024;
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
    let greeted = async {
        let mut stream = acceptor.accept(stream).await?;
        let identity = PeerIdentity::of_connection(stream.get_ref().1.peer_certificates(), &node.cluster)
            .map_err(invalid)?;
        greet(&mut stream, identity, &node).await?;
        Ok::<_, std::io::Error>(stream)
    };
    let stream = tokio::time::timeout(GREETING_TIMEOUT, greeted).await??;
    serve(stream, node).await
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, error)
}

/// Answers the peer's hello with ours, and then decides: so that each side can say what is wrong.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    identity: PeerIdentity,
    node: &Node,
) -> std::io::Result<()> {
    let frame = frame::read(stream).await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let theirs: Hello = codec::decode(Kind::Hello, &frame.body).map_err(invalid)?;
    let ours = Hello { protocol: PROTOCOL, cluster: node.cluster.as_str().to_owned(), node: Some(node.id) };
    let body = codec::encode(Kind::Hello, &ours).map_err(invalid)?;
    frame::write(stream, &Frame { id: frame.id, body: body.into() }).await?;
    stream.flush().await?;
    let claimed_is_proved = match identity {
        PeerIdentity::Node(id) => theirs.node == Some(id),
        PeerIdentity::Operator => theirs.node.is_none(),
    };
    let refusal = if !claimed_is_proved {
        format!("a peer claims to be {:?} but its certificate says {identity:?}", theirs.node)
    } else if theirs.cluster != ours.cluster {
        format!("a peer belongs to the cluster {:?}", theirs.cluster)
    } else if theirs.protocol != PROTOCOL {
        format!("a peer speaks protocol {}, not {PROTOCOL}", theirs.protocol)
    } else {
        return Ok(());
    };
    tracing::warn!(reason = %refusal, "a peer was refused");
    Err(invalid(refusal))
}

async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    node: Arc<Node>,
) -> std::io::Result<()> {
    let (reader, writer) = tokio::io::split(stream);
    let (replies, outbox) = mpsc::channel(CONCURRENT_REQUESTS_MAX);
    let writing = tokio::spawn(write_replies(writer, outbox));
    let mut session = Session::new(node, replies);
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
    replies: mpsc::Sender<(u64, Reply)>,
    permits: Arc<Semaphore>,
    appending: Option<Appending>,
    receiving: Option<Receiving>,
}

impl Session {
    fn new(node: Arc<Node>, replies: mpsc::Sender<(u64, Reply)>) -> Self {
        let permits = Arc::new(Semaphore::new(CONCURRENT_REQUESTS_MAX));
        Self { node, replies, permits, appending: None, receiving: None }
    }

    async fn handle(&mut self, frame: Frame) -> std::io::Result<()> {
        let request: Request = codec::decode(Kind::Frame, &frame.body).map_err(invalid)?;
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
            request => {
                let permit = self.permits.clone().acquire_owned().await.map_err(invalid)?;
                let (node, replies) = (self.node.clone(), self.replies.clone());
                tokio::spawn(async move {
                    let reply = answer(&node, request).await;
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

    async fn append(&mut self, id: u64, request: Request) -> std::io::Result<()> {
        let Request::Append { stream, vote, previous, entries, commit } = request else {
            return Ok(());
        };
        let entries = entries.into_iter().map(|entry| wire::entry(&entry.at, entry.payload));
        let rpc = AppendEntriesRequest {
            vote: wire::vote(&vote),
            prev_log_id: previous.as_ref().map(wire::log_id),
            entries: entries.collect::<Result<_, _>>().map_err(invalid)?,
            leader_commit: commit.as_ref().map(wire::log_id),
        };
        let appending = match &mut self.appending {
            Some(appending) if appending.stream == stream => appending,
            other => other.insert(begin_appending(stream, &self.node, self.replies.clone())),
        };
        if appending.ids.send(id).is_ok() && appending.requests.send(rpc).await.is_ok() {
            return Ok(());
        }
        self.reply(id, Reply::Appended(AppendOutcome::Stale)).await
    }

    async fn snapshot(&mut self, request: Request) -> std::io::Result<Reply> {
        match request {
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

async fn answer(node: &Node, request: Request) -> Reply {
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
        Request::Propose(encoded) => match propose_here(&node.raft, encoded).await {
            Ok(responses) => Reply::Applied(responses),
            Err(unanswered) => not_leader(&unanswered),
        },
        Request::ReadIndex => match read_index(&node.raft).await {
            Ok(index) => Reply::ReadIndex { index },
            Err(unanswered) => not_leader(&unanswered),
        },
        Request::Admin(request) => Reply::Admin(node.administer(request).await),
        Request::Append { .. }
        | Request::SnapshotBegin { .. }
        | Request::SnapshotChunk(_)
        | Request::SnapshotEnd => Reply::Failed("answered in order, elsewhere".into()),
    }
}

fn not_leader(unanswered: &Unanswered) -> Reply {
    match unanswered {
        Unanswered::Retry => Reply::NotLeader,
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
