//! The read barrier: after it, this node's applied state holds every change that was acknowledged
//! before the barrier was requested.
//!
//! Only one request to the leader is in flight at a time. It answers all reads that were queued
//! before it was sent, so the busier the node, the fewer requests per read. The leader, which all
//! nodes ask, does the same with its own request to the quorum ([`ReadIndex`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use keymoot_telemetry::Metrics;

use crate::error::ClusterError;
use crate::peer::leader_client::{Leader, LeaderClient, Unanswered};
use crate::read::leader_contact::LeaderContact;
use crate::read::read_index::ReadIndex;
use crate::wire::message::{Reply, Request};
use crate::write::batcher::{BatchLimits, Batcher};
use crate::write::disk::Disk;
use crate::write::hold::DivergenceHold;

/// The time limit for the leader's answer; then the request is sent again over a new connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long a node with a full disk may take to apply what is in its log.
const APPLIES_WITHIN: Duration = Duration::from_millis(500);
/// After a batch of this many reads, the next one waits a moment for more: a request to the quorum
/// costs all nodes as much as several reads cost this one.
const PAUSE_AFTER_READS: usize = 4;

/// Batches the reads of this node.
pub(crate) type BarrierBatcher = Batcher<(), Result<(), ClusterError>>;

/// Batches reads behind `barrier`, at most `reads_max` at a time; a batch fails after `patience`.
pub(crate) fn barrier_batcher(
    barrier: Arc<ReadBarrier>,
    runtime: Handle,
    reads_max: usize,
    patience: Duration,
) -> BarrierBatcher {
    let limits = BatchLimits { pause_after: PAUSE_AFTER_READS, ..BatchLimits::one_at_a_time(reads_max) };
    Batcher::new(runtime, limits, move |reads: Vec<()>| {
        let barrier = barrier.clone();
        Box::pin(async move {
            let outcome = barrier.run(reads.len(), Instant::now() + patience).await;
            vec![outcome; reads.len()]
        })
    })
}

/// Requests the read index from the leader and waits until it is applied here.
pub(crate) struct ReadBarrier {
    /// Answers this node and others while this node leads.
    pub read_index: ReadIndex,
    /// What was last heard of the leader.
    pub contact: LeaderContact,
    leader_client: LeaderClient,
    applied_index: watch::Receiver<u64>,
    disk: Disk,
    /// Refuses reads while it is undecided which node's state is right.
    hold: DivergenceHold,
    metrics: Arc<Metrics>,
}

impl ReadBarrier {
    pub(crate) fn new(
        read_index: ReadIndex,
        contact: LeaderContact,
        leader_client: LeaderClient,
        applied_index: watch::Receiver<u64>,
        disk: Disk,
        hold: DivergenceHold,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { read_index, contact, leader_client, applied_index, disk, hold, metrics }
    }

    async fn run(&self, reads: usize, deadline: Instant) -> Result<(), ClusterError> {
        let began = Instant::now();
        self.metrics.read_barrier_batch_reads.observe(reads as f64);
        let outcome = self.wait(deadline).await;
        self.metrics.read_barrier_seconds.observe(began.elapsed().as_secs_f64());
        outcome
    }

    /// Requests the read index and waits until it is applied here.
    pub(crate) async fn wait(&self, deadline: Instant) -> Result<(), ClusterError> {
        #[cfg(feature = "mutants")]
        if keymoot_mutant::is("local-read") {
            return Ok(());
        }
        self.hold.check()?;
        let index = self.leader_client.ask(deadline, |leader| self.ask_index(leader, deadline)).await?;
        let mut applied = self.applied_index.clone();
        let caught_up = applied.wait_for(|applied| *applied >= index);
        let read_only = tokio::select! {
            biased;
            caught_up = caught_up => {
                caught_up.map_err(|_| ClusterError::Stopped)?;
                return self.hold.check();
            }
            () = self.full() => true,
            () = tokio::time::sleep_until(deadline) => false,
        };
        Err(ClusterError::Behind { applied: *self.applied_index.borrow(), index, read_only })
    }

    /// That this node lacks what its leader, which it hears, has committed.
    pub(crate) fn lag(&self) -> Option<ClusterError> {
        let applied = *self.applied_index.borrow();
        let index = self.contact.lacks(applied)?;
        Some(ClusterError::Behind { applied, index, read_only: self.disk.is_read_only() })
    }

    /// Waits until the node is read-only and has had time to apply what it has: what it lacks then, it
    /// cannot store.
    async fn full(&self) {
        loop {
            self.disk.read_only().await;
            tokio::time::sleep(APPLIES_WITHIN).await;
            if self.disk.is_read_only() {
                return;
            }
        }
    }

    async fn ask_index(&self, leader: Leader, deadline: Instant) -> Result<u64, Unanswered> {
        match leader {
            Leader::Here => self.read_index.read().await,
            Leader::There(link) => {
                // A lost request must not delay all reads that came after it.
                let left = deadline.saturating_duration_since(Instant::now());
                match link.call(self.question(), left.min(ANSWER_WITHIN)).await {
                    Ok(Reply::ReadIndex { index }) => {
                        self.contact.hear(Some(index));
                        Ok(index)
                    }
                    Ok(_) => Err(Unanswered::Retry),
                    Err(error) => {
                        tracing::debug!(%error, "the leader gave no read index");
                        Err(Unanswered::Retry)
                    }
                }
            }
        }
    }

    /// The request to another leader, made after every read of the batch has begun.
    fn question(&self) -> Request {
        self.read_index.ledger().vote().map_or(Request::ReadIndex, Request::ReadIndexOf)
    }
}
