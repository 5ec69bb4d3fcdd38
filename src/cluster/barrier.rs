//! The read barrier: after it, this node's applied state holds every change that was
//! acknowledged before it was asked for.
//!
//! One question to the leader is under way at a time; it answers every read that was queued
//! before it was sent, so the busier the node, the fewer questions per read.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::telemetry::Metrics;

use super::error::ClusterError;
use super::leader::{Leader, LeaderSeat, Unanswered};
use super::message::{Reply, Request};
use super::types::Raft;

/// How long a leader may take to answer before it is asked again over a new connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Wait until reading this node's state is linearizable.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Await {
    /// When to give up.
    pub deadline: Instant,
    /// Where the answer goes. It travels in the message so that a full mailbox can refuse it.
    pub answer: oneshot::Sender<Result<(), ClusterError>>,
}

/// The actor: gathers reads while a round is under way.
pub struct ReadBarrier {
    rounds: Arc<Rounds>,
    runtime: Handle,
    mailbox: usize,
    queue: Vec<Await>,
    under_way: bool,
}

impl ReadBarrier {
    pub fn new(rounds: Arc<Rounds>, runtime: Handle, mailbox: usize) -> Self {
        Self { rounds, runtime, mailbox, queue: Vec::new(), under_way: false }
    }

    fn begin_round(&mut self, context: &mut Context<Self>) {
        if self.under_way || self.queue.is_empty() {
            return;
        }
        self.under_way = true;
        let waiting = std::mem::take(&mut self.queue);
        let rounds = self.rounds.clone();
        let round = self.runtime.spawn(async move { rounds.run(waiting).await });
        context.spawn(round.into_actor(self).map(|_, barrier, context| {
            barrier.under_way = false;
            barrier.begin_round(context);
        }));
    }
}

impl Actor for ReadBarrier {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox);
    }
}

impl Handler<Await> for ReadBarrier {
    type Result = ();

    fn handle(&mut self, message: Await, context: &mut Self::Context) {
        self.queue.push(message);
        self.begin_round(context);
    }
}

/// Carries out rounds.
pub struct Rounds {
    raft: Raft,
    seat: LeaderSeat,
    applied_index: watch::Receiver<u64>,
    metrics: Arc<Metrics>,
}

impl Rounds {
    pub fn new(
        raft: Raft,
        seat: LeaderSeat,
        applied_index: watch::Receiver<u64>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { raft, seat, applied_index, metrics }
    }

    async fn run(&self, waiting: Vec<Await>) {
        let began = Instant::now();
        self.metrics.read_barrier_batch_reads.observe(waiting.len() as f64);
        let Some(deadline) = waiting.iter().map(|read| read.deadline).max() else { return };
        let outcome = self.round(deadline).await;
        self.metrics.read_barrier_seconds.observe(began.elapsed().as_secs_f64());
        for read in waiting {
            let _ = read.answer.send(outcome.clone());
        }
    }

    /// Asks for the read index and waits until it is applied here.
    pub async fn round(&self, deadline: Instant) -> Result<(), ClusterError> {
        #[cfg(feature = "mutants")]
        if crate::mutant::is("local-read") {
            return Ok(());
        }
        let began = Instant::now();
        let index = self.seat.ask(deadline, |leader| self.ask_index(leader, deadline)).await?;
        let mut applied = self.applied_index.clone();
        let caught_up = applied.wait_for(|applied| *applied >= index);
        match tokio::time::timeout_at(deadline, caught_up).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ClusterError::Stopped),
            Err(_) => Err(ClusterError::NoQuorum { waited: began.elapsed() }),
        }
    }

    async fn ask_index(&self, leader: Leader, deadline: Instant) -> Result<u64, Unanswered> {
        match leader {
            Leader::Here => read_index(&self.raft).await,
            Leader::There(link) => {
                // A question that got lost must not keep waiting all reads that came after it.
                let left = deadline.saturating_duration_since(Instant::now());
                match link.call(Request::ReadIndex, left.min(ANSWER_WITHIN)).await {
                    Ok(Reply::ReadIndex { index }) => Ok(index),
                    Ok(_) => Err(Unanswered::Retry),
                    Err(error) => {
                        tracing::debug!(%error, "the leader gave no read index");
                        Err(Unanswered::Retry)
                    }
                }
            }
        }
    }
}

/// The index that a read begun now must wait for, confirmed by a quorum; only the leader knows.
pub async fn read_index(raft: &Raft) -> Result<u64, Unanswered> {
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => Ok(linearizer.read_log_id().index()),
        Err(RaftError::Fatal(fatal)) => {
            tracing::error!(error = %fatal, "raft has stopped");
            Err(Unanswered::Stopped)
        }
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(_)))
        | Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Err(Unanswered::Retry),
    }
}
