//! The target of a leader transfer. The voters are asked, because the leader's own view may be out
//! of date, and does not show a full disk while nothing is written.
//!
//! A transfer to a voter that cannot win stops the leader's heartbeats until an election is held,
//! so only a voter with the leader's whole log is a target.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::{Instant, sleep};

use keymoot_model::NodeId;
use keymoot_state as state;

use crate::members::leader_transfer::LeaderTransferError;
use crate::members::membership::Members;
use crate::peer::link::LinkError;
use crate::wire::fitness::Fitness;
use crate::wire::message::{Reply, Request};

/// The time limit for a voter to answer, and to store and apply the entries that the leader had
/// when it asked.
const FIT_WITHIN: Duration = Duration::from_secs(1);
/// How often a voter is asked within that time.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// How suitable a voter is as the next leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suitability {
    /// It has all entries and free disk space.
    Fit,
    /// It answers, but its version does not know the question.
    Unknown,
    /// Its disk is full, and it lacks this many entries.
    Full(u64),
    /// It lacks this many entries.
    Behind(u64),
    /// Its tables are damaged.
    Damaged,
    /// It does not answer.
    Silent,
    /// It is a witness.
    Witness,
}

impl Suitability {
    /// The suitability of a voter with this fitness under a leader with that fitness.
    fn beside(voter: Fitness, leader: Fitness) -> Self {
        let unstored = leader.last_log_index.saturating_sub(voter.last_log_index);
        let lacks = unstored.max(leader.applied_index.saturating_sub(voter.applied_index));
        match (voter.has_room, lacks) {
            _ if !voter.is_whole => Self::Damaged,
            (false, _) => Self::Full(lacks),
            (true, 0) => Self::Fit,
            (true, _) => Self::Behind(lacks),
        }
    }

    /// The reason why it cannot lead, if any.
    pub(crate) fn unfit(self) -> Option<String> {
        match self {
            Self::Fit | Self::Unknown => None,
            Self::Full(_) => Some("its disk is nearly full".to_owned()),
            Self::Behind(lacks) => Some(format!("it lacks {lacks} entries")),
            Self::Damaged => Some("its tables are damaged".to_owned()),
            Self::Silent => Some("it does not answer".to_owned()),
            Self::Witness => {
                Some("it is a witness, which leads only where no other voter has all of its log".to_owned())
            }
        }
    }

    /// The rank among candidates, the highest first; `None` for a voter that could not win.
    fn rank(self) -> Option<u8> {
        match self {
            Self::Fit => Some(2),
            Self::Unknown => Some(1),
            Self::Full(0) => Some(0),
            Self::Full(_) | Self::Behind(_) | Self::Damaged | Self::Silent | Self::Witness => None,
        }
    }
}

impl Members {
    /// The fitness of this node to lead.
    pub(crate) fn fitness(&self) -> Fitness {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        Fitness {
            // Nobody stands aside for a witness.
            has_room: !self.disk.is_read_only()
                && self.audit.log.state().is_ok()
                && !self.is_witness(self.id),
            is_whole: self.state.damage().is_none(),
            last_log_index: now.last_log_index.unwrap_or(0),
            applied_index: now.last_applied.map_or(0, |at| at.index),
        }
    }

    /// Whether a node is registered as a witness. A state that cannot be read knows of none.
    pub(crate) fn is_witness(&self, id: NodeId) -> bool {
        matches!(state::registered_key(&self.state, id), Ok(Some(known)) if known.witness)
    }

    /// Whether this node leads, to its knowledge.
    pub(crate) fn leads(&self) -> bool {
        self.raft.metrics().borrow_watched().current_leader == Some(self.id)
    }

    /// The voter to transfer the leadership to: one that has the whole log and free disk space. If
    /// there is none and `full_too` is set, one that has the whole log. `but` is not considered.
    ///
    /// # Errors
    /// [`LeaderTransferError`], with the reason for each voter.
    pub(crate) async fn transfer_target(
        &self,
        full_too: bool,
        but: Option<NodeId>,
    ) -> Result<NodeId, LeaderTransferError> {
        let others: Vec<_> = self.other_voters()?.into_iter().filter(|id| Some(*id) != but).collect();
        let mut asking: FuturesUnordered<_> = others.iter().map(|id| self.suitability(*id)).collect();
        let mut best: Option<(u8, NodeId)> = None;
        let mut unfit = BTreeMap::new();
        while let Some((id, suitability)) = asking.next().await {
            match suitability {
                Suitability::Fit => return Ok(id),
                suitability => best = best.max(suitability.rank().map(|rank| (rank, id))),
            }
            unfit.extend(suitability.unfit().map(|reason| (id, reason)));
        }
        let least = if full_too { 0 } else { 1 };
        best.filter(|(rank, _)| *rank >= least).map(|(_, id)| id).ok_or(LeaderTransferError::Nobody(unfit))
    }

    /// The other voters, or this one, that cannot lead now, and why.
    pub(crate) async fn unfit_to_lead(
        &self,
        only: Option<NodeId>,
    ) -> Result<BTreeMap<NodeId, String>, LeaderTransferError> {
        let others = self.other_voters()?;
        let asked = others.into_iter().filter(|id| only.is_none_or(|only| only == *id));
        let answers = futures::future::join_all(asked.map(|id| self.suitability(id))).await;
        let unfit = |(id, suitability): (NodeId, Suitability)| suitability.unfit().map(|reason| (id, reason));
        Ok(answers.into_iter().filter_map(unfit).collect())
    }

    fn other_voters(&self) -> Result<Vec<NodeId>, LeaderTransferError> {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        if now.current_leader != Some(self.id) {
            return Err(LeaderTransferError::NotLeader { leader: now.current_leader });
        }
        let voters = now.membership_config.membership().voter_ids();
        Ok(voters.filter(|id| *id != self.id).collect())
    }

    /// Asks a voter, repeatedly while it may still catch up.
    async fn suitability(&self, id: NodeId) -> (NodeId, Suitability) {
        if self.is_witness(id) {
            return (id, Suitability::Witness);
        }
        let Some(link) = self.leader_client.link_to(id) else { return (id, Suitability::Silent) };
        let (until, goal) = (Instant::now() + FIT_WITHIN, self.fitness());
        loop {
            let found = match link.call(Request::FitnessToLead, FIT_WITHIN).await {
                Ok(Reply::FitnessToLead(fitness)) => Suitability::beside(fitness, goal),
                Ok(_) | Err(LinkError::Protocol { .. }) => Suitability::Unknown,
                // The voter may have restarted: the next request connects anew.
                Err(LinkError::Broken { .. }) if Instant::now() < until => continue,
                Err(error) => {
                    tracing::debug!(%error, "a voter does not say whether it could lead");
                    Suitability::Silent
                }
            };
            if !matches!(found, Suitability::Behind(_)) || Instant::now() >= until {
                return (id, found);
            }
            sleep(ASK_AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADER: Fitness =
        Fitness { has_room: false, is_whole: true, last_log_index: 24, applied_index: 23 };

    fn says(has_room: bool, last_log_index: u64, applied_index: u64) -> Suitability {
        Suitability::beside(Fitness { has_room, is_whole: true, last_log_index, applied_index }, LEADER)
    }

    #[test]
    fn whoever_has_all_that_the_leader_has_and_room_is_fit() {
        assert_eq!(says(true, 24, 23), Suitability::Fit);
        assert_eq!(says(true, 30, 30), Suitability::Fit, "the leader has gone on meanwhile");
        assert_eq!(says(true, 20, 20), Suitability::Behind(4));
        assert_eq!(says(true, 24, 0), Suitability::Behind(23), "it would have to apply it first");
        assert_eq!(says(false, 24, 24), Suitability::Full(0));
        assert_eq!(says(false, 20, 20), Suitability::Full(4));
    }

    #[test]
    fn whoever_cannot_win_is_never_taken_and_the_full_come_last() {
        let ranks = [Suitability::Fit, Suitability::Unknown, Suitability::Full(0)].map(Suitability::rank);
        assert!(ranks.windows(2).all(|pair| pair[0] > pair[1]), "{ranks:?}");
        let damaged = Suitability::beside(Fitness { is_whole: false, ..LEADER }, LEADER);
        for unfit in
            [Suitability::Full(1), Suitability::Behind(1), damaged, Suitability::Silent, Suitability::Witness]
        {
            assert_eq!(unfit.rank(), None);
            assert!(unfit.unfit().is_some());
        }
    }
}
