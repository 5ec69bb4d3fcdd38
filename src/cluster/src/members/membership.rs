//! Membership changes: planned and made on the leader, requested at any member.
//!
//! The state changes first (a node is marked as removed, or as a learner, before Raft's members
//! change), so that the next leader can complete an interrupted change: see the reconciler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, Instant as _};
use tokio::time::Instant;

use keymoot_audit::{Action, NodeAudit, Outcome};
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{Command, Response};

use crate::error::ClusterError;
use crate::members::candidacy::{Bar, Candidacy};
use crate::members::leader_transfer::LeaderTransferError;
use crate::members::plan::{self, MembersView};
use crate::peer::leader_client::LeaderClient;
use crate::peer::leader_client::{Leader, Unanswered};
use crate::raft::Raft;
use crate::raft::state_view::StateView;
use crate::wire::membership_change::{Change, ChangePlan, ChangeRequest, MemberState, Verdict};
use crate::wire::message::{Reply, Request};
use crate::wire::raft_types::{Member, TypeConfig};
use crate::write::disk::Disk;
use crate::write::forwarder::ProposalForwarder;
use crate::write::log_index::noting_log_index;

/// How often a new leader checks whether it has heard of all voters.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The right to plan or make a change; one caller at a time has it. It stores since when this node
/// leads.
#[derive(Debug, Default)]
pub(crate) struct ChangeTurn {
    term_seen: Option<(u64, Instant)>,
}

impl ChangeTurn {
    /// The time at which this node was first seen to lead in that term.
    fn leads_since(&mut self, term: u64) -> Instant {
        match self.term_seen {
            Some((seen, at)) if seen == term => at,
            _ => self.term_seen.insert((term, Instant::now())).1,
        }
    }
}

/// The members, and how they are changed.
pub(crate) struct Members {
    pub(super) id: NodeId,
    pub(super) raft: Raft,
    pub(super) state: StateView,
    pub(super) forwarder: Arc<ProposalForwarder>,
    pub(super) leader_client: LeaderClient,
    pub(super) disk: Disk,
    pub(super) audit: NodeAudit,
    /// A member that was silent for longer counts as down.
    pub(super) silence: Duration,
    /// What speaks against this node as a leader.
    candidacy: Candidacy,
    /// Only one membership change runs at a time.
    change_turn: tokio::sync::Mutex<ChangeTurn>,
}

impl Members {
    /// The members, from the view of node `id`.
    pub(crate) fn new(
        id: NodeId,
        raft: Raft,
        state: StateView,
        forwarder: Arc<ProposalForwarder>,
        leader_client: LeaderClient,
        (disk, audit): (Disk, NodeAudit),
        silence: Duration,
    ) -> Self {
        Self {
            id,
            raft,
            state,
            forwarder,
            leader_client,
            disk,
            audit,
            silence,
            candidacy: Candidacy::default(),
            change_turn: tokio::sync::Mutex::default(),
        }
    }

    /// Plans a change and, unless it is a dry run, makes it, on whichever node leads.
    pub(crate) async fn change_members(
        &self,
        mut request: ChangeRequest,
        deadline: Instant,
    ) -> Result<ChangePlan, ClusterError> {
        if request.change == Change::TransferLeader(None) {
            // With the target fixed, a repeated request does not transfer the leadership twice.
            match self.plan_transfer_target(&request, deadline).await? {
                (Some(target), _) => request.change = Change::TransferLeader(Some(target)),
                (None, refused) => return Ok(refused),
            }
        }
        self.ask_leader_to_change(request, deadline).await
    }

    /// The first voter that the leader would transfer to, beginning with those that lack the fewest
    /// entries, and the last plan.
    async fn plan_transfer_target(
        &self,
        request: &ChangeRequest,
        deadline: Instant,
    ) -> Result<(Option<NodeId>, ChangePlan), ClusterError> {
        let asked =
            |to| ChangeRequest { change: Change::TransferLeader(to), dry_run: true, ..request.clone() };
        let mut plan = self.ask_leader_to_change(asked(None), deadline).await?;
        if plan.verdict != Verdict::Ready {
            return Ok((None, plan));
        }
        let fit = |member: &&MemberState| member.voter && member.up && member.id != plan.leader;
        let mut targets: Vec<(u64, NodeId)> =
            plan.before.iter().filter(fit).map(|member| (member.lag, member.id)).collect();
        targets.sort_unstable();
        for (_, target) in targets {
            plan = self.ask_leader_to_change(asked(Some(target)), deadline).await?;
            if plan.verdict == Verdict::Ready {
                return Ok((Some(target), plan));
            }
        }
        Ok((None, plan))
    }

    async fn ask_leader_to_change(
        &self,
        request: ChangeRequest,
        deadline: Instant,
    ) -> Result<ChangePlan, ClusterError> {
        let ask = |leader| {
            let request = request.clone();
            async move {
                let link = match leader {
                    Leader::Here => return self.change_here(request, deadline).await,
                    Leader::There(link) => link,
                };
                let left = deadline.saturating_duration_since(Instant::now());
                match link.call(Request::ChangeMembers(request), left).await {
                    Ok(Reply::Planned(plan)) => Ok(*plan),
                    Ok(_) => Err(Unanswered::Retry),
                    Err(error) => {
                        tracing::debug!(%error, "a change of members got no answer");
                        Err(Unanswered::Retry)
                    }
                }
            }
        };
        self.leader_client.ask(deadline, ask).await
    }

    /// Plans or makes a change on the leader itself.
    pub(crate) async fn change_here(
        &self,
        request: ChangeRequest,
        deadline: Instant,
    ) -> Result<ChangePlan, Unanswered> {
        let mut turn = self.change_turn.lock().await;
        let mut view = self.members_view(&mut turn).await?;
        match request.change {
            Change::TransferLeader(to) => {
                view.unfit = self.unfit_to_lead(to).await.map_err(|_| Unanswered::Retry)?;
            }
            Change::Demote(_) | Change::Remove(_) => self.ask_voters(&mut view).await,
            Change::Promote(_) | Change::Address(..) | Change::AddLearner(..) => {}
        }
        let mut plan = plan::plan(&view, &request);
        if request.dry_run || plan.verdict != Verdict::Ready {
            return Ok(plan);
        }
        let object = format!("change={:?} forced={}", request.change, request.force);
        tracing::info!(object, "the members change");
        let event = self.audit.own(Action::MEMBERS_CHANGE, Outcome::Intended, object);
        let pending = match self.audit.begin(event).await {
            Ok(pending) => pending,
            // Else a leader that cannot write its audit could never be changed: it is told to go first.
            Err(why) => match request.change {
                Change::TransferLeader(to) => {
                    plan.verdict = self.transfer(to).await?;
                    return Ok(plan);
                }
                _ => {
                    plan.verdict =
                        Verdict::NotYet(format!("{why}; transfer the leadership to another node first"));
                    return Ok(plan);
                }
            },
        };
        let (carried_out, log_index) = noting_log_index(self.carry_out(&request.change, deadline)).await;
        let (outcome, reason) = match &carried_out {
            Ok(Verdict::Ready | Verdict::Nothing(_)) => (Outcome::Done, None),
            Ok(verdict) => (Outcome::Failed, Some(format!("{verdict:?}"))),
            Err(_) => (Outcome::Unknown, None),
        };
        // The intent stands without an outcome where that cannot be written.
        drop(pending.end(outcome, reason, log_index));
        plan.verdict = carried_out?;
        Ok(plan)
    }

    async fn carry_out(&self, change: &Change, deadline: Instant) -> Result<Verdict, Unanswered> {
        match change {
            Change::TransferLeader(to) => return self.transfer(*to).await,
            // A leader that is no longer a voter stops in the middle of its work.
            Change::Demote(id) | Change::Remove(id) if *id == self.id => {
                return self.transfer_before_leaving().await;
            }
            Change::Promote(id) => {
                self.settle(Command::SetLearner { id: *id, learner: false }, deadline).await?;
                self.change_raft(ChangeMembers::AddVoterIds([*id].into()), true).await
            }
            Change::Demote(id) => {
                self.settle(Command::SetLearner { id: *id, learner: true }, deadline).await?;
                self.change_raft(ChangeMembers::RemoveVoters([*id].into()), true).await
            }
            Change::Remove(id) => {
                self.settle(Command::RemoveNode { id: *id }, deadline).await?;
                self.remove_member(*id).await
            }
            Change::Address(id, address) => {
                let member = Member { peer_address: address.clone() };
                self.change_raft(ChangeMembers::SetNodes([(*id, member)].into()), true).await
            }
            Change::AddLearner(id, address) => {
                let member = Member { peer_address: address.clone() };
                self.change_raft(ChangeMembers::AddNodes([(*id, member)].into()), true).await
            }
        }?;
        Ok(Verdict::Ready)
    }

    /// Removes a node from Raft's members, voter or learner.
    pub(crate) async fn remove_member(&self, id: NodeId) -> Result<(), Unanswered> {
        let membership = self.membership();
        if membership.voter_ids().any(|voter| voter == id) {
            self.change_raft(ChangeMembers::RemoveVoters([id].into()), true).await?;
        }
        self.change_raft(ChangeMembers::RemoveNodes([id].into()), true).await
    }

    /// Completes a membership change that an earlier leader began.
    pub(crate) async fn complete_joint(&self) -> Result<(), Unanswered> {
        let _turn = self.change_turn.lock().await;
        let membership = self.membership();
        match membership.get_joint_config().as_slice() {
            [_, then] => self.change_raft(ChangeMembers::ReplaceAllVoters(then.clone()), true).await,
            _ => Ok(()),
        }
    }

    /// Transfers the leadership to `to`, or to any suitable voter. A failure is reported and not
    /// retried: a failed transfer costs an election.
    async fn transfer(&self, to: Option<NodeId>) -> Result<Verdict, Unanswered> {
        let transferred = match to {
            Some(to) => self.transfer_leader(to).await,
            None => self.transfer_leader_away(false).await,
        };
        match transferred {
            Ok(()) => Ok(Verdict::Ready),
            Err(LeaderTransferError::Stopped) => Err(Unanswered::Stopped),
            Err(LeaderTransferError::NotLeader { .. }) => Err(Unanswered::Retry),
            Err(error) => Ok(Verdict::Refused(error.to_string())),
        }
    }

    /// Transfers the leadership to any suitable voter; the next leader then gets the request.
    async fn transfer_before_leaving(&self) -> Result<Verdict, Unanswered> {
        match self.transfer_leader_away(false).await {
            Ok(()) => Err(Unanswered::Retry),
            Err(LeaderTransferError::Stopped) => Err(Unanswered::Stopped),
            Err(error @ LeaderTransferError::Nobody(_)) => Ok(Verdict::Refused(error.to_string())),
            Err(error) => {
                tracing::warn!(%error, "leadership was not transferred");
                Err(Unanswered::Retry)
            }
        }
    }

    async fn settle(&self, command: Command, deadline: Instant) -> Result<(), Unanswered> {
        match self.forwarder.replicate(vec![command], deadline).await.as_deref() {
            // The node has not reported its facts yet, and will soon.
            Ok([Response::NoNode]) => Err(Unanswered::Retry),
            Ok(_) => Ok(()),
            Err(ClusterError::Stopped) => Err(Unanswered::Stopped),
            Err(_) => Err(Unanswered::Retry),
        }
    }

    async fn change_raft(
        &self,
        change: ChangeMembers<NodeId, Member>,
        retain: bool,
    ) -> Result<(), Unanswered> {
        match self.raft.change_membership(change, retain).await {
            Ok(_) => Ok(()),
            Err(RaftError::Fatal(_)) => Err(Unanswered::Stopped),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(Unanswered::Retry),
            Err(RaftError::APIError(error)) => {
                tracing::debug!(%error, "the members did not change at once");
                Err(Unanswered::Retry)
            }
        }
    }

    /// Whether Raft runs on this node.
    pub(crate) fn is_running(&self) -> bool {
        self.raft.metrics().borrow_watched().running_state.is_ok()
    }

    /// Notes whether this speaks against this node as a leader: it stands for election while nothing
    /// does.
    pub(crate) fn bar(&self, bar: Bar, holds: bool) {
        self.candidacy.set(&self.raft, bar, holds);
    }

    /// The members as Raft has them in effect.
    pub(crate) fn membership(&self) -> crate::wire::raft_types::Membership {
        self.raft.metrics().borrow_watched().membership_config.membership().clone()
    }

    /// Records that this node leads in its term.
    pub(crate) fn note_leading(&self) {
        let term = self.raft.metrics().borrow_watched().current_term;
        // A caller with the turn records it itself.
        if let Ok(mut turn) = self.change_turn.try_lock() {
            turn.leads_since(term);
        }
    }

    /// The members from the leader's view; a new leader first waits until it has heard of the
    /// voters. A silent voter is waited for once in a term, not by every caller.
    async fn members_view(&self, turn: &mut ChangeTurn) -> Result<MembersView, Unanswered> {
        loop {
            let metrics = self.raft.metrics().borrow_watched().clone();
            let Some(heard) = metrics.heartbeat.as_ref().filter(|_| metrics.current_leader == Some(self.id))
            else {
                return Err(Unanswered::Retry);
            };
            let voters: BTreeSet<NodeId> = metrics.membership_config.membership().voter_ids().collect();
            let unheard = |id: &NodeId| *id != self.id && heard.get(id).is_none_or(Option::is_none);
            let until = turn.leads_since(metrics.current_term) + self.silence;
            if Instant::now() >= until || !voters.iter().any(unheard) {
                return self.view_members(&metrics);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn view_members(&self, metrics: &openraft::RaftMetrics<TypeConfig>) -> Result<MembersView, Unanswered> {
        let unreadable = |error: state::StateError| {
            tracing::error!(%error, "the nodes cannot be read");
            Unanswered::Stopped
        };
        let records = state::nodes(&self.state).map_err(unreadable)?;
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
        let last = metrics.last_log_index.unwrap_or(0);
        let matched =
            |id: &NodeId| metrics.replication.as_ref().and_then(|all| all.get(id)?.map(|at| at.index));
        let heard = |id: &NodeId| {
            metrics.heartbeat.as_ref().and_then(|all| all.get(id)?.as_ref().map(|at| at.elapsed()))
        };
        let members = membership.nodes().map(|(id, member)| MemberState {
            id: *id,
            voter: voters.contains(id),
            zone: records
                .iter()
                .find(|node| node.id == *id)
                .map(|node| node.facts.zone.clone())
                .unwrap_or_default(),
            peer_address: member.peer_address.clone(),
            up: *id == self.id || heard(id).is_some_and(|ago| ago < self.silence),
            lag: if *id == self.id { 0 } else { last.saturating_sub(matched(id).unwrap_or(0)) },
        });
        Ok(MembersView {
            leader: self.id,
            members: members.collect(),
            removed: records.iter().filter(|node| node.removed_at_ms.is_some()).map(|node| node.id).collect(),
            unfit: BTreeMap::new(),
        })
    }
}
