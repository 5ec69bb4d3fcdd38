//! The proposer: gathers commands into batches and sees each batch through to its answer.
//!
//! A batch leaves as soon as fewer than the allowed number are under way, with all that waits
//! then; so the busier the node, the larger the batches. A batch is encoded once, and carries
//! (client, serial), so that retrying it with another leader applies it once.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use bytes::Bytes;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, RaftError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::codec::{self, Kind};
use crate::state::{self, Command, Proposal, Response};
use crate::telemetry::Metrics;

use super::disk::Disk;
use super::error::ClusterError;
use super::leader::{Leader, LeaderSeat, Unanswered};
use super::message::{Reply, Request};
use super::peers::EndOfNode;
use super::types::{EncodedProposal, Raft};

/// A command to replicate; the answer comes when a quorum has it on disk and it is applied.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Propose {
    /// The change.
    pub command: Command,
    /// When to give up waiting for a quorum.
    pub deadline: Instant,
    /// Where the answer goes. It travels in the message so that a full mailbox can refuse it.
    pub answer: oneshot::Sender<Result<Response, ClusterError>>,
}

/// How batches are cut.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Commands in a batch at most.
    pub commands_max: usize,
    /// Batches under way at most.
    pub in_flight_max: usize,
    /// Messages in the mailbox at most.
    pub mailbox: usize,
}

/// The actor: a queue before the [`Flights`].
pub struct Proposer {
    flights: Arc<Flights>,
    runtime: Handle,
    limits: BatchLimits,
    queue: VecDeque<Propose>,
    in_flight: usize,
}

impl Proposer {
    pub fn new(flights: Arc<Flights>, runtime: Handle, limits: BatchLimits) -> Self {
        Self { flights, runtime, limits, queue: VecDeque::new(), in_flight: 0 }
    }

    fn launch(&mut self, context: &mut Context<Self>) {
        while self.in_flight < self.limits.in_flight_max && !self.queue.is_empty() {
            let count = self.queue.len().min(self.limits.commands_max);
            let batch: Vec<Propose> = self.queue.drain(..count).collect();
            let flights = self.flights.clone();
            // The flight works on the Raft runtime; the actor only learns that it landed.
            let landed = self.runtime.spawn(async move { flights.fly(batch).await });
            self.in_flight += 1;
            context.spawn(landed.into_actor(self).map(|_, proposer, context| {
                proposer.in_flight -= 1;
                proposer.launch(context);
            }));
        }
    }
}

impl Actor for Proposer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.limits.mailbox);
    }
}

impl Handler<Propose> for Proposer {
    type Result = ();

    fn handle(&mut self, message: Propose, context: &mut Self::Context) {
        self.queue.push_back(message);
        self.launch(context);
    }
}

/// The batches under way.
pub struct Flights {
    raft: Raft,
    seat: LeaderSeat,
    disk: Disk,
    client: u64,
    serials: Mutex<Serials>,
    end: EndOfNode,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Serials {
    last: u64,
    unanswered: BTreeSet<u64>,
}

impl Flights {
    pub fn new(raft: Raft, seat: LeaderSeat, disk: Disk, end: EndOfNode, metrics: Arc<Metrics>) -> Self {
        Self { raft, seat, disk, client: rand::random(), serials: Mutex::default(), end, metrics }
    }

    /// Takes off with a batch, and answers everybody in it.
    async fn fly(&self, batch: Vec<Propose>) {
        let began = Instant::now();
        self.metrics.proposal_batch_commands.observe(batch.len() as f64);
        let Some(deadline) = batch.iter().map(|waiting| waiting.deadline).max() else { return };
        let (commands, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.command, waiting.answer)).unzip();
        let expected = commands.len();
        let outcome = self.replicate(commands, deadline).await.and_then(|responses| {
            if responses.len() == expected {
                Ok(responses)
            } else {
                Err(ClusterError::Protocol(format!("{} answers to {expected} commands", responses.len())))
            }
        });
        self.metrics.proposal_seconds.observe(began.elapsed().as_secs_f64());
        let label = if outcome.is_ok() { "applied" } else { "unanswered" };
        self.metrics.proposals_total.with_label_values(&[label]).inc();
        match outcome {
            Ok(responses) => {
                for (answer, response) in answers.into_iter().zip(responses) {
                    let _ = answer.send(Ok(response));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Replicates the commands as one proposal.
    pub async fn replicate(
        &self,
        commands: Vec<Command>,
        deadline: Instant,
    ) -> Result<Vec<Response>, ClusterError> {
        self.check_levels(&commands)?;
        let (serial, floor) = self.take_serial();
        let proposal = Proposal { client: self.client, serial, floor, now_ms: now_ms(), commands };
        let outcome = match codec::encode(Kind::Entry, &proposal) {
            Ok(encoded) => {
                let encoded = Bytes::from(encoded);
                self.seat.ask(deadline, |leader| self.propose(leader, encoded.clone(), deadline)).await
            }
            Err(error) => Err(ClusterError::Protocol(error.to_string())),
        };
        self.serials.lock().unwrap_or_else(PoisonError::into_inner).unanswered.remove(&serial);
        outcome
    }

    /// No command is proposed that the cluster's feature level has not reached: a member might not be
    /// able to read it.
    fn check_levels(&self, commands: &[Command]) -> Result<(), ClusterError> {
        // The founding itself comes before there is a level.
        let reached = self.end.feature_level().max(1);
        let needed = commands.iter().map(state::level_of).max().unwrap_or(0);
        if needed <= reached {
            return Ok(());
        }
        Err(ClusterError::Refused(format!(
            "this needs feature level {needed}, and the cluster is at {reached}: run a program that knows it \
             on every node, then keymoot cluster upgrade"
        )))
    }

    async fn propose(
        &self,
        leader: Leader,
        encoded: Bytes,
        deadline: Instant,
    ) -> Result<Vec<Response>, Unanswered> {
        let link = match leader {
            Leader::Here => return propose_here(&self.raft, &self.disk, encoded).await,
            Leader::There(link) => link,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match link.call(Request::Propose(encoded), left).await {
            Ok(Reply::Applied(responses)) => Ok(responses),
            Ok(Reply::DiskFull) => Err(Unanswered::DiskFull),
            Ok(_) => Err(Unanswered::Retry),
            Err(error) => {
                tracing::debug!(%error, "a forwarded proposal got no answer");
                Err(Unanswered::Retry)
            }
        }
    }

    fn take_serial(&self) -> (u64, u64) {
        let mut serials = self.serials.lock().unwrap_or_else(PoisonError::into_inner);
        serials.last += 1;
        let serial = serials.last;
        serials.unanswered.insert(serial);
        let floor = serials.unanswered.first().copied().unwrap_or(serial);
        (serial, floor)
    }
}

/// Replicates an encoded proposal on this node, if it leads and its `disk` has room.
pub async fn propose_here(raft: &Raft, disk: &Disk, encoded: Bytes) -> Result<Vec<Response>, Unanswered> {
    if disk.is_read_only() {
        let metrics = raft.metrics();
        let leads = metrics.borrow_watched().state == ServerState::Leader;
        return Err(if leads { Unanswered::DiskFull } else { Unanswered::Retry });
    }
    match raft.client_write(EncodedProposal(encoded)).await {
        Ok(written) => Ok(written.data.0),
        Err(RaftError::Fatal(fatal)) => {
            tracing::error!(error = %fatal, "raft has stopped");
            Err(Unanswered::Stopped)
        }
        // Repeating is safe: the serial makes the proposal apply once, wherever it ended up.
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(Unanswered::Retry),
        Err(RaftError::APIError(error)) => {
            tracing::debug!(%error, "a proposal did not stay in the log");
            Err(Unanswered::Retry)
        }
    }
}

/// The proposer's clock, which travels in the log so that every replica uses the same.
pub fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
