//! The proposal forwarder: sends a batch of commands to the leader, whichever node it is, until it
//! is answered.
//!
//! A batch is encoded once, and carries (client, serial), so that a retry at another leader applies
//! it only once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_state as state;
use keymoot_state::{Command, Proposal, Response};
use keymoot_telemetry::Metrics;

use crate::error::ClusterError;
use crate::peer::feature_level::FeatureLevel;
use crate::peer::leader_client::{Leader, LeaderClient, Unanswered};
use crate::wire::message::{Reply, Request};
use crate::write::appender::LogAppender;
use crate::write::clock::now_ms;
use crate::write::committed::Committed;
use crate::write::hold::DivergenceHold;
use crate::write::log_index;

/// Sends each batch of this node to the leader, whichever node it is, until it is answered.
pub(crate) struct ProposalForwarder {
    /// Appends the batches of this node and of others while this node leads.
    pub appender: LogAppender,
    leader_client: LeaderClient,
    client: u64,
    serials: Mutex<Serials>,
    feature_level: FeatureLevel,
    /// Refuses writes while it is undecided which node's state is right.
    pub hold: DivergenceHold,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Serials {
    last: u64,
    unanswered: BTreeSet<u64>,
}

impl ProposalForwarder {
    pub(crate) fn new(
        appender: LogAppender,
        leader_client: LeaderClient,
        feature_level: FeatureLevel,
        hold: DivergenceHold,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            appender,
            leader_client,
            client: rand::random(),
            serials: Mutex::default(),
            feature_level,
            hold,
            metrics,
        }
    }

    /// Replicates a batch of groups of commands as one proposal; returns to each group the
    /// responses to its commands.
    pub(crate) async fn forward(
        &self,
        groups: Vec<Vec<Command>>,
        deadline: Instant,
    ) -> Vec<Result<Committed, ClusterError>> {
        let began = Instant::now();
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        let commands: Vec<Command> = groups.into_iter().flatten().collect();
        let expected = commands.len();
        self.metrics.proposal_batch_commands.observe(expected as f64);
        let outcome = self.commit(commands, deadline).await.and_then(|committed| {
            let answers = committed.responses.len();
            if answers == expected {
                Ok(committed)
            } else {
                Err(ClusterError::Protocol(format!("{answers} answers to {expected} commands")))
            }
        });
        self.metrics.proposal_seconds.observe(began.elapsed().as_secs_f64());
        let label = if outcome.is_ok() { "applied" } else { "unanswered" };
        self.metrics.proposals_total.with_label_values(&[label]).inc();
        match outcome {
            Ok(Committed { responses, log_index }) => {
                let mut responses = responses.into_iter();
                let part = |size| Committed { responses: responses.by_ref().take(size).collect(), log_index };
                sizes.into_iter().map(part).map(Ok).collect()
            }
            Err(error) => vec![Err(error); sizes.len()],
        }
    }

    /// Replicates the commands as one proposal.
    pub(crate) async fn replicate(
        &self,
        commands: Vec<Command>,
        deadline: Instant,
    ) -> Result<Vec<Response>, ClusterError> {
        Ok(self.commit(commands, deadline).await?.responses)
    }

    /// The same, and tells where in the log it is.
    pub(crate) async fn commit(
        &self,
        commands: Vec<Command>,
        deadline: Instant,
    ) -> Result<Committed, ClusterError> {
        self.hold.check_commands(&commands)?;
        self.check_levels(&commands)?;
        let (serial, floor) = self.take_serial();
        let proposal = Proposal { client: self.client, serial, floor, now_ms: now_ms(), commands };
        let outcome = match codec::encode(Kind::Entry, &proposal) {
            Ok(encoded) => {
                let encoded = Bytes::from(encoded);
                self.leader_client
                    .ask(deadline, |leader| self.propose(leader, encoded.clone(), deadline))
                    .await
            }
            Err(error) => Err(ClusterError::Protocol(error.to_string())),
        };
        self.serials.lock().unwrap_or_else(PoisonError::into_inner).unanswered.remove(&serial);
        log_index::note(outcome.as_ref().ok().and_then(|committed| committed.log_index));
        // The leader may have refused for a reason that this node has found meanwhile, too.
        outcome.map_err(|error| self.hold.check().err().unwrap_or(error))
    }

    /// Refuses commands that the cluster's feature level has not reached: a member might not be
    /// able to read them.
    fn check_levels(&self, commands: &[Command]) -> Result<(), ClusterError> {
        // The command that initializes the cluster comes before there is a level.
        let reached = self.feature_level.current()?.max(1);
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
    ) -> Result<Committed, Unanswered> {
        let link = match leader {
            Leader::Here => return self.appender.append(encoded).await,
            Leader::There(link) => link,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match link.call(Request::Propose(encoded), left).await {
            Ok(Reply::Applied(responses)) => Ok(Committed { responses, log_index: None }),
            Ok(Reply::AppliedAt { index, responses }) => Ok(Committed { responses, log_index: Some(index) }),
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
