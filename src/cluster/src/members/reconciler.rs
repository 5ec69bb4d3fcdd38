//! The membership reconciler: a task on every node that reports the node's facts and address to the
//! cluster. On the leader it also completes interrupted changes and promotes learners that have
//! caught up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::Instant;

use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{Command, NodeRecord};
use keymoot_telemetry::{LastingConditions, Metrics};

use crate::members::enrolment::Enrolment;
use crate::members::founding::Founder;
use crate::members::membership::Members;
use crate::members::node_info::NodeInfo;
use crate::members::registration::KeyRegistration;
use crate::members::reporting::Reporting;
use crate::peer::known_keys::holds_all;
use crate::peer::leader_client::Unanswered;
use crate::peer::removed_nodes::RemovedNodes;
use crate::wire::membership_change::{Change, ChangeRequest, Verdict};
use crate::wire::raft_codec;

/// The pause between two rounds.
const ROUND: Duration = Duration::from_millis(500);
/// A node that does not lead reports to its peers once in this many rounds.
const ROUNDS_PER_REPORT: u32 = 6;
/// How far the peers have acknowledged is written once in this many rounds.
const ROUNDS_PER_MEMORY: u32 = 10;
/// The time limit for one of its requests.
const PATIENCE: Duration = Duration::from_secs(3);

/// A task that makes Raft's members match those in the state.
pub(crate) struct MembershipReconciler {
    pub(crate) members: Arc<Members>,
    pub(crate) removed: Arc<RemovedNodes>,
    pub(crate) founder: Arc<Founder>,
    pub(crate) reporting: Reporting,
    pub(crate) enrolment: Enrolment,
    pub(crate) registration: KeyRegistration,
    pub(crate) is_witness: bool,
    pub(crate) info: Arc<NodeInfo>,
    pub(crate) metrics: Arc<Metrics>,
    /// That a witness is reached elsewhere than the cluster knows.
    pub(crate) moved: LastingConditions,
    /// The number of rounds so far.
    pub(crate) rounds: u32,
}

impl MembershipReconciler {
    /// Runs until Raft stops.
    pub(crate) async fn run(mut self) {
        let unreadable = LastingConditions::<()>::new();
        loop {
            if self.members.raft.metrics().borrow_watched().running_state.is_err() {
                return;
            }
            if let Err(error) = self.round().await
                && let Some(unlogged) = unreadable.note(())
            {
                tracing::error!(%error, unlogged, "the nodes cannot be read");
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    async fn round(&mut self) -> Result<(), state::StateError> {
        self.rounds = self.rounds.wrapping_add(1);
        let records = state::nodes(&self.members.state)?;
        let membership = self.members.membership();
        let members: BTreeSet<NodeId> = membership.nodes().map(|(id, _)| *id).collect();
        let gone = |node: &&NodeRecord| node.removed_at_ms.is_some() && !members.contains(&node.id);
        self.removed.replace(records.iter().filter(gone).map(|node| node.id), &members);
        self.measure(&records, &members);
        self.founder.begin_alone().await?;
        let leader = self.members.raft.metrics().borrow_watched().current_leader;
        let leads = leader == Some(self.members.id);
        self.registration.look(&members, leads && self.has_committed())?;
        if leads && self.is_witness {
            // It hands over at once, and the next leader goes on with what is left to do.
            self.members.note_leading();
        } else if leads {
            self.lead(&records, &members).await;
            self.registration.note_verifiers().await?;
        } else if self.rounds.is_multiple_of(ROUNDS_PER_REPORT) {
            self.reporting.report(self.members.id, &members).await;
        }
        if self.rounds.is_multiple_of(ROUNDS_PER_MEMORY) {
            self.reporting.write_memory();
        }
        if leader.is_some() && members.contains(&self.members.id) {
            self.describe(&records).await;
            self.enrolment.enroll().await?;
            self.registration.register().await?;
            self.registration.note_trust().await?;
            self.move_in(&membership).await;
        }
        Ok(())
    }

    /// Whether the state of this node, which leads, holds all that was committed before: a new leader may not have
    /// applied it yet.
    fn has_committed(&self) -> bool {
        let metrics = self.members.raft.metrics();
        let now = metrics.borrow_watched();
        let committed = now.local_committed.as_ref().map(raft_codec::position);
        holds_all(now.current_term, committed.as_ref(), now.last_applied.as_ref().map(|at| at.index))
    }

    fn measure(&self, records: &[NodeRecord], members: &BTreeSet<NodeId>) {
        let voters = self.members.membership().voter_ids().count();
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let metrics = &self.metrics;
        metrics.raft_voters.set(gauge(voters));
        metrics.raft_learners.set(gauge(members.len().saturating_sub(voters)));
        metrics.node_info.reset();
        for node in records.iter().filter(|node| members.contains(&node.id)) {
            let labels = [&node.id.to_string(), &node.facts.zone, &node.facts.version];
            metrics.node_info.with_label_values(&labels).set(1);
        }
    }

    async fn describe(&self, records: &[NodeRecord]) {
        let known = records.iter().find(|node| node.id == self.members.id);
        let removed = known.is_some_and(|node| node.removed_at_ms.is_some());
        if !removed && known.is_none_or(|node| node.facts != self.info.facts) {
            let facts = self.info.facts.clone();
            self.settle(Command::DescribeNode { id: self.members.id, facts }).await;
        }
    }

    /// Requests a change of the node's address when the advertised one has changed.
    async fn move_in(&self, membership: &crate::wire::raft_types::Membership) {
        let address = &self.info.peer_address;
        let known = membership.nodes().find(|(id, _)| **id == self.members.id).map(|(_, member)| member);
        if known.is_none_or(|member| member.peer_address == *address) {
            return;
        }
        if self.is_witness {
            if let Some(unlogged) = self.moved.note(()) {
                tracing::warn!(
                    address,
                    unlogged,
                    "this witness is reached elsewhere now, and may not change the members itself: keymoot cluster address \
                     {} {address}, with the --config of another node",
                    self.members.id
                );
            }
            return;
        }
        tracing::info!(address, "this node is reached elsewhere now; the cluster is told");
        self.change(Change::Address(self.members.id, address.clone())).await;
    }

    /// The reconciliation on the leader.
    async fn lead(&self, records: &[NodeRecord], members: &BTreeSet<NodeId>) {
        self.members.note_leading();
        if self.members.membership().get_joint_config().len() > 1
            && let Err(Unanswered::Stopped) = self.members.complete_joint().await
        {
            return;
        }
        let voters: BTreeSet<NodeId> = self.members.membership().voter_ids().collect();
        for node in records.iter().filter(|node| members.contains(&node.id)) {
            if node.removed_at_ms.is_some() && node.id != self.members.id {
                self.change(Change::Remove(node.id)).await;
            } else if node.removed_at_ms.is_none() && !node.learner && !voters.contains(&node.id) {
                self.change(Change::Promote(node.id)).await;
            }
        }
    }

    async fn change(&self, change: Change) {
        let request = ChangeRequest { change: change.clone(), force: false, dry_run: false };
        match self.members.change_members(request, Instant::now() + PATIENCE).await {
            Ok(plan) => match plan.verdict {
                Verdict::Ready => tracing::info!(?change, "the members changed by themselves"),
                Verdict::Nothing(_) => {}
                verdict => tracing::debug!(?change, ?verdict, "the members stay as they are"),
            },
            Err(error) => tracing::debug!(?change, %error, "the members did not change"),
        }
    }

    async fn settle(&self, command: Command) {
        let outcome = self.members.forwarder.replicate(vec![command], Instant::now() + PATIENCE).await;
        if let Err(error) = outcome {
            tracing::debug!(%error, "what this node is was not stored yet");
        }
    }
}
