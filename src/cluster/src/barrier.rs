//! The read barrier: after it, this node's applied state holds every change that was
//! acknowledged before it was asked for.
//!
//! One question to the leader is under way at a time; it answers every read that was queued
//! before it was sent, so the busier the node, the fewer questions per read. The leader, whom all
//! nodes ask, does the same with its question to the quorum ([`ReadIndex`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use keymoot_telemetry::Metrics;

use super::error::ClusterError;
use super::gathered::{GatherLimits, Gathered};
use super::leader::{Leader, LeaderSeat, Unanswered};
use super::message::{Reply, Request};
use super::read_index::ReadIndex;

/// How long a leader may take to answer before it is asked again over a new connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// After so many reads in a round, the next one waits a moment for more: asking a quorum costs all nodes
/// as much as several reads cost this one.
const PAUSE_AFTER_READS: usize = 4;

/// Gathers the reads of this node.
pub type ReadBarrier = Gathered<(), Result<(), ClusterError>>;

/// The barrier over these rounds, for at most `reads_max` reads at a time; a round gives up after
/// `patience`.
pub fn read_barrier(
    rounds: Arc<Rounds>,
    runtime: Handle,
    reads_max: usize,
    patience: Duration,
) -> ReadBarrier {
    let limits = GatherLimits { pause_after: PAUSE_AFTER_READS, ..GatherLimits::one_at_a_time(reads_max) };
    Gathered::new(runtime, limits, move |reads: Vec<()>| {
        let rounds = rounds.clone();
        Box::pin(async move {
            let outcome = rounds.run(reads.len(), Instant::now() + patience).await;
            vec![outcome; reads.len()]
        })
    })
}

/// Carries out rounds.
pub struct Rounds {
    /// Where this node and others ask while it leads.
    pub index: ReadIndex,
    seat: LeaderSeat,
    applied_index: watch::Receiver<u64>,
    metrics: Arc<Metrics>,
}

impl Rounds {
    pub fn new(
        index: ReadIndex,
        seat: LeaderSeat,
        applied_index: watch::Receiver<u64>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { index, seat, applied_index, metrics }
    }

    async fn run(&self, reads: usize, deadline: Instant) -> Result<(), ClusterError> {
        let began = Instant::now();
        self.metrics.read_barrier_batch_reads.observe(reads as f64);
        let outcome = self.round(deadline).await;
        self.metrics.read_barrier_seconds.observe(began.elapsed().as_secs_f64());
        outcome
    }

    /// Asks for the read index and waits until it is applied here.
    pub async fn round(&self, deadline: Instant) -> Result<(), ClusterError> {
        #[cfg(feature = "mutants")]
        if keymoot_mutant::is("local-read") {
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
            Leader::Here => self.index.read().await,
            Leader::There(link) => {
                // A question that got lost must not keep waiting all reads that came after it.
                let left = deadline.saturating_duration_since(Instant::now());
                match link.call(self.question(), left.min(ANSWER_WITHIN)).await {
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

    /// What is asked of another node after everybody who waits for the answer has begun to.
    fn question(&self) -> Request {
        self.index.standing().vote().map_or(Request::ReadIndex, Request::ReadIndexOf)
    }
}
