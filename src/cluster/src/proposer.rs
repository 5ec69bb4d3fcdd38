//! The proposer: gathers commands into batches and sees each batch through to its answer.
//!
//! A batch leaves as soon as fewer than the allowed number are under way, with all that waits
//! then; so the busier the node, the larger the batches. A batch is encoded once, and carries
//! (client, serial), so that retrying it with another leader applies it once. The leader gathers the
//! batches of all nodes in the same way: they share one append, and one fsync.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::TryStreamExt as _;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, Fatal};
use tokio::runtime::Handle;
use tokio::time::Instant;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_state as state;
use keymoot_state::{Command, Proposal, Response};
use keymoot_telemetry::Metrics;

use super::disk::Disk;
use super::error::ClusterError;
use super::gathered::{GatherLimits, Gathered};
use super::leader::{Leader, LeaderSeat, Unanswered};
use super::message::{Reply, Request};
use super::peers::EndOfNode;
use super::types::{EncodedProposal, Raft};

/// Appends of the leader under way at most; each holds what came while the one before was written.
const APPENDS_IN_FLIGHT_MAX: usize = 2;
/// Batches in one append at most.
const APPEND_BATCHES_MAX: usize = 16;

/// Gathers the commands of this node. Commands that are given together stay in one proposal.
pub type Proposer = Gathered<Vec<Command>, Result<Vec<Response>, ClusterError>>;

/// The proposer over these flights; a batch gives up after `patience`.
pub fn proposer(
    flights: Arc<Flights>,
    runtime: Handle,
    limits: GatherLimits,
    patience: Duration,
) -> Proposer {
    let commands_max = limits.batch_max;
    Gathered::new(runtime, limits, move |groups| {
        let flights = flights.clone();
        Box::pin(async move {
            let mut answers = Vec::with_capacity(groups.len());
            for batch in split(groups, commands_max) {
                answers.extend(flights.fly(batch, Instant::now() + patience).await);
            }
            answers
        })
    })
}

/// Puts groups of commands into batches of at most `commands_max` commands; no group is torn apart.
fn split(groups: Vec<Vec<Command>>, commands_max: usize) -> Vec<Vec<Vec<Command>>> {
    let mut batches: Vec<Vec<Vec<Command>>> = Vec::with_capacity(1);
    let mut room = 0;
    for group in groups {
        match batches.last_mut().filter(|_| group.len() <= room) {
            Some(batch) => {
                room -= group.len();
                batch.push(group);
            }
            None => {
                room = commands_max.saturating_sub(group.len());
                batches.push(vec![group]);
            }
        }
    }
    batches
}

/// The batches under way.
pub struct Flights {
    /// Where the batches of this node and of others end while it leads.
    pub appends: Appends,
    seat: LeaderSeat,
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
    pub fn new(appends: Appends, seat: LeaderSeat, end: EndOfNode, metrics: Arc<Metrics>) -> Self {
        Self { appends, seat, client: rand::random(), serials: Mutex::default(), end, metrics }
    }

    /// Takes off with a batch; for each of its groups, an answer to each command.
    async fn fly(
        &self,
        groups: Vec<Vec<Command>>,
        deadline: Instant,
    ) -> Vec<Result<Vec<Response>, ClusterError>> {
        let began = Instant::now();
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        let commands: Vec<Command> = groups.into_iter().flatten().collect();
        let expected = commands.len();
        self.metrics.proposal_batch_commands.observe(expected as f64);
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
                let mut responses = responses.into_iter();
                sizes.into_iter().map(|size| Ok(responses.by_ref().take(size).collect())).collect()
            }
            Err(error) => vec![Err(error); sizes.len()],
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
        let reached = self.end.feature_level()?.max(1);
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
            Leader::Here => return self.appends.append(encoded).await,
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

/// What this node appends to the log while it leads: its own batches and those that others sent it.
pub struct Appends {
    raft: Raft,
    disk: Disk,
    gathered: Gathered<Bytes, Result<Vec<Response>, Unanswered>>,
}

impl Appends {
    /// To this node's Raft, on `runtime`, as long as its `disk` has room.
    pub fn new(raft: Raft, disk: Disk, runtime: Handle) -> Self {
        let limits = GatherLimits {
            // Every member has few batches under way.
            waiting_max: usize::MAX,
            batch_max: APPEND_BATCHES_MAX,
            in_flight_max: APPENDS_IN_FLIGHT_MAX,
            pause_after: usize::MAX,
        };
        let to = raft.clone();
        let append = move |batches| {
            let raft = to.clone();
            Box::pin(async move { append_all(&raft, batches).await }) as _
        };
        Self { raft, disk, gathered: Gathered::new(runtime, limits, append) }
    }

    /// Replicates an encoded proposal, if this node leads and its disk has room.
    pub async fn append(&self, encoded: Bytes) -> Result<Vec<Response>, Unanswered> {
        if self.disk.is_read_only() {
            let metrics = self.raft.metrics();
            let leads = metrics.borrow_watched().state == ServerState::Leader;
            return Err(if leads { Unanswered::DiskFull } else { Unanswered::Retry });
        }
        match self.gathered.give(encoded) {
            Some(answered) => answered.await.unwrap_or(Err(Unanswered::Stopped)),
            None => Err(Unanswered::Retry),
        }
    }
}

/// Appends the batches at once, each as an entry of its own.
async fn append_all(raft: &Raft, batches: Vec<Bytes>) -> Vec<Result<Vec<Response>, Unanswered>> {
    let count = batches.len();
    let mut answers = Vec::with_capacity(count);
    let appended: Result<(), Fatal<_>> = async {
        let mut written = raft.client_write_many(batches.into_iter().map(EncodedProposal)).await?;
        while let Some(result) = written.try_next().await? {
            answers.push(match result {
                Ok(written) => Ok(written.response.0),
                // Repeating is safe: the serial makes the proposal apply once, wherever it ended up.
                Err(ClientWriteError::ForwardToLeader(_)) => Err(Unanswered::Retry),
                Err(error) => {
                    tracing::debug!(%error, "a proposal did not stay in the log");
                    Err(Unanswered::Retry)
                }
            });
        }
        Ok(())
    }
    .await;
    if let Err(fatal) = appended {
        tracing::error!(error = %fatal, "raft has stopped");
        answers.resize_with(count, || Err(Unanswered::Stopped));
    }
    answers
}

/// The proposer's clock, which travels in the log so that every replica uses the same.
pub fn now_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_are_given_together_stay_together_within_the_bound() {
        let group = |size: usize| vec![Command::RaiseFeatureLevel { to: 1 }; size];
        let sizes = |groups: &[usize], commands_max| -> Vec<Vec<usize>> {
            let batches = split(groups.iter().map(|size| group(*size)).collect(), commands_max);
            batches.iter().map(|batch| batch.iter().map(Vec::len).collect()).collect()
        };
        assert_eq!(sizes(&[1, 1, 1], 3), [[1, 1, 1]]);
        assert_eq!(sizes(&[1, 2, 1, 3], 3), [vec![1, 2], vec![1], vec![3]]);
        assert_eq!(sizes(&[5, 1], 3), [[5], [1]], "larger than the bound, and yet one proposal");
        assert!(sizes(&[], 3).is_empty());
    }
}
