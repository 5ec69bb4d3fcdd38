//! Raft's network over links: replication is pipelined, heartbeats and snapshots have
//! connections of their own.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use keymoot_model::NodeId;
use keymoot_telemetry::LastingConditions;

use crate::peer::link::{Link, LinkError};
use crate::peer::peers::Peers;
use crate::raft::log_retention::LogRetention;
use crate::raft::snapshot_transfer::{self, SnapshotData};
use crate::vote_ledger::VoteLedger;
use crate::wire::message::{AppendOutcome, NO_STREAM, Reply, Request};
use crate::wire::raft_codec;
use crate::wire::raft_types::{Member, TypeConfig, Vote};

/// The most appends in flight to one peer.
const PIPELINE_DEPTH: usize = 32;
/// The least time a peer has to answer an append: it may have to wait for an fsync.
const APPEND_TIMEOUT_MIN: Duration = Duration::from_secs(2);

/// Distinguishes append streams on a connection, over the life of the process.
static NEXT_STREAM: AtomicU64 = AtomicU64::new(1);

type RpcError = RPCError<TypeConfig>;

/// Makes the network clients that openraft requests.
pub(crate) struct Network {
    peers: Peers,
    snapshot_bytes_per_s: u64,
    log_retention: LogRetention,
    ledger: VoteLedger,
    /// The peers that a snapshot does not reach.
    unarrived: Arc<LastingConditions<NodeId>>,
}

impl Network {
    /// Clients that reach `peers` and send snapshots at a bounded rate. `ledger` learns of each
    /// commit before a peer does.
    pub(crate) fn new(
        peers: Peers,
        snapshot_bytes_per_s: u64,
        log_retention: LogRetention,
        ledger: VoteLedger,
    ) -> Self {
        Self { peers, snapshot_bytes_per_s, log_retention, ledger, unarrived: Arc::default() }
    }

    fn client(&self, target: NodeId, member: &Member, purpose: Purpose) -> PeerClient {
        self.peers.learn(target, &member.peer_address);
        PeerClient {
            target,
            purpose,
            link: self.peers.dedicated(target, purpose.name()),
            snapshot_bytes_per_s: self.snapshot_bytes_per_s,
            log_retention: self.log_retention.clone(),
            ledger: self.ledger.clone(),
            unarrived: self.unarrived.clone(),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: NodeId, node: &Member) -> PeerClient {
        self.client(target, node, Purpose::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, node: &Member) -> PeerClient {
        self.client(target, node, Purpose::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: NodeId, node: &Member) -> PeerClient {
        self.client(target, node, Purpose::Snapshot)
    }
}

/// The purpose of a connection.
#[derive(Clone, Copy)]
enum Purpose {
    Replication,
    Heartbeat,
    Snapshot,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Replication => "replication",
            Self::Heartbeat => "heartbeat",
            Self::Snapshot => "snapshot",
        }
    }
}

/// openraft's client for one peer.
pub(crate) struct PeerClient {
    target: NodeId,
    purpose: Purpose,
    link: Option<Link>,
    snapshot_bytes_per_s: u64,
    log_retention: LogRetention,
    ledger: VoteLedger,
    unarrived: Arc<LastingConditions<NodeId>>,
}

impl PeerClient {
    fn link(&self) -> Result<&Link, RpcError> {
        let unnamed = || LinkError::Unreachable {
            peer: format!("node {}", self.target),
            reason: "it has no valid name".into(),
        };
        self.link.as_ref().ok_or_else(|| RPCError::Unreachable(Unreachable::new(&unnamed())))
    }
}

impl RaftNetworkV2<TypeConfig> for PeerClient {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let reply = self.link()?.call(append(NO_STREAM, &rpc, &self.ledger)?, option.soft_ttl()).await;
        let last = rpc.entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id);
        Ok(match appended(reply)? {
            Ok(stored) if stored == last => AppendEntriesResponse::Success,
            Ok(stored) => AppendEntriesResponse::PartialSuccess(stored),
            Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
            Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> futures::future::BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + openraft::OptionalSend + Unpin + 'static,
    {
        let stream = match self.purpose {
            // A stream of one append needs no order, and would cost the peer a task and two
            // channels.
            Purpose::Heartbeat => NO_STREAM,
            _ => NEXT_STREAM.fetch_add(1, Ordering::Relaxed),
        };
        let timeout = option.soft_ttl().max(APPEND_TIMEOUT_MIN);
        Box::pin(async move {
            let (link, ledger) = (self.link()?.clone(), self.ledger.clone());
            // Each request is sent when the closure runs, in order; only the waiting is buffered.
            let replies = input
                .map(move |rpc| {
                    let pending = append(stream, &rpc, &ledger).map(|request| link.send(request));
                    async move { appended(pending?.reply(timeout).await) }
                })
                .buffered(PIPELINE_DEPTH);
            Ok(replies.boxed())
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_vote(rpc, option, false).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_vote(rpc, option, true).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::alias::SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + openraft::OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let link = self.link().map_err(StreamingError::from)?;
        let guard = self.log_retention.hold_for(self.target);
        let sending = snapshot_transfer::send(link, vote, snapshot, self.snapshot_bytes_per_s);
        tokio::select! {
            sent = sending => match sent {
                Ok(vote) => {
                    guard.installed();
                    self.unarrived.end(&self.target);
                    Ok(SnapshotResponse::new(vote))
                }
                Err(error) => {
                    if let Some(unlogged) = self.unarrived.note(self.target) {
                        tracing::warn!(peer = self.target, %error, unlogged, "a snapshot did not arrive");
                    }
                    Err(StreamingError::Unreachable(Unreachable::new(&error)))
                }
            },
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        rpc: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let request = Request::TransferLeader {
            from: raft_codec::stored_vote(rpc.from_leader()),
            to: *rpc.to_node_id(),
            last: rpc.last_log_id().map(raft_codec::position),
        };
        match self.link()?.call(request, option.hard_ttl()).await.map_err(rpc_error)? {
            Reply::Transferred(true) => Ok(Ok(())),
            Reply::Transferred(false) => Err(failed("it did not take the leadership")),
            other => Err(unexpected(&other)),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(Duration::from_millis(100))))
    }
}

impl PeerClient {
    async fn ask_vote(
        &self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
        pre_vote: bool,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let request = Request::Vote {
            pre_vote,
            vote: raft_codec::stored_vote(&rpc.vote),
            last: rpc.last_log_id.as_ref().map(raft_codec::position),
            transfer: rpc.leadership_transfer,
        };
        match self.link()?.call(request, option.hard_ttl()).await.map_err(rpc_error)? {
            Reply::Voted { vote, granted, last } => {
                Ok(VoteResponse::new(raft_codec::vote(&vote), last.as_ref().map(raft_codec::log_id), granted))
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// The message to send; the ledger notes its commit.
fn append(
    stream: u64,
    rpc: &AppendEntriesRequest<TypeConfig>,
    ledger: &VoteLedger,
) -> Result<Request, RpcError> {
    let entries = rpc.entries.iter().map(raft_codec::wire_entry).collect::<Result<_, _>>();
    let commit = rpc.leader_commit.as_ref().map(raft_codec::position);
    if let Some(commit) = commit {
        ledger.commit(commit);
    }
    Ok(Request::Append {
        stream,
        vote: raft_codec::stored_vote(&rpc.vote),
        previous: rpc.prev_log_id.as_ref().map(raft_codec::position),
        entries: entries.map_err(|error| RPCError::Network(NetworkError::new(&error)))?,
        commit,
    })
}

fn appended(reply: Result<Reply, LinkError>) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
    match reply.map_err(rpc_error)? {
        Reply::Appended(AppendOutcome::Stored(last)) => Ok(Ok(last.as_ref().map(raft_codec::log_id))),
        Reply::Appended(AppendOutcome::Conflict(at)) => {
            Ok(Err(StreamAppendError::Conflict(raft_codec::log_id(&at))))
        }
        Reply::Appended(AppendOutcome::HigherVote(vote)) => {
            Ok(Err(StreamAppendError::HigherVote(raft_codec::vote(&vote))))
        }
        other => Err(unexpected(&other)),
    }
}

/// A peer that cannot be reached is not retried for a while; other failures are retried at once.
fn rpc_error(error: LinkError) -> RpcError {
    match error {
        LinkError::Unreachable { .. }
        | LinkError::Removed { .. }
        | LinkError::Unproven { .. }
        | LinkError::TimedOut { .. } => RPCError::Unreachable(Unreachable::new(&error)),
        LinkError::Broken { .. } | LinkError::Protocol { .. } => RPCError::Network(NetworkError::new(&error)),
    }
}

fn failed(reason: &str) -> RpcError {
    RPCError::Unreachable(Unreachable::new(&std::io::Error::other(reason.to_owned())))
}

fn unexpected(reply: &Reply) -> RpcError {
    match reply {
        Reply::Failed(reason) => failed(reason),
        Reply::Appended(AppendOutcome::Stale) => failed("the stream ended"),
        _ => failed("it answered another question"),
    }
}
