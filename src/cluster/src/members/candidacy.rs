//! Whether this node stands for election. What speaks against it is said by those who watch for it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use openraft::async_runtime::watch::WatchReceiver as _;

use crate::members::membership::Members;
use crate::raft::Raft;
use crate::wire::fitness::Fitness;
use crate::wire::message::{Reply, Request};

/// The time limit for a voter to answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// A node that should not lead stands for election after this many times the silence that makes a
/// member count as down.
const LAST_RESORT_SILENCES: u32 = 5;

/// What speaks against a node as a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bar {
    /// Its tables are damaged.
    Damage,
    /// Its disk is full, and a voter with free space has all that it has.
    FullDisk,
    /// It cannot write its audit, and another voter has all that it has.
    Unaudited,
    /// It is a witness, and another voter has all that it has.
    Witness,
}

/// The bars of this node. It stands for election while there is none.
#[derive(Default)]
pub(super) struct Candidacy(Mutex<BTreeSet<Bar>>);

impl Candidacy {
    pub(super) fn set(&self, raft: &Raft, bar: Bar, holds: bool) {
        // No code panics while it holds the lock, so a poisoned set is intact.
        let mut bars = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = if holds { bars.insert(bar) } else { bars.remove(&bar) };
        if changed {
            tracing::debug!(?bars, "what speaks against this node as a leader");
            raft.runtime_config().elect(bars.is_empty());
        }
    }
}

impl Members {
    /// For how long the cluster must be without a leader until a node that should not lead stands for
    /// election all the same.
    pub(crate) fn last_resort(&self) -> Duration {
        self.silence * LAST_RESORT_SILENCES
    }

    /// Whether another node leads, and a quorum follows it.
    pub(crate) async fn is_led(&self) -> bool {
        let leader = self.raft.metrics().borrow_watched().current_leader;
        let link = leader.filter(|id| *id != self.id).and_then(|id| self.leader_client.link_to(id));
        let Some(link) = link else { return false };
        matches!(link.call(Request::ReadIndex, ANSWER_WITHIN).await, Ok(Reply::ReadIndex { .. }))
    }

    /// Whether a voter that answers could lead in place of this one: it has free space, and all that
    /// this node has in its log.
    pub(crate) async fn is_outdone(&self) -> bool {
        let own = self.fitness();
        let voters: Vec<_> = self.membership().voter_ids().filter(|id| *id != self.id).collect();
        let links = voters.into_iter().filter_map(|id| self.leader_client.link_to(id));
        let mut asking: FuturesUnordered<_> =
            links.map(|link| async move { link.call(Request::FitnessToLead, ANSWER_WITHIN).await }).collect();
        while let Some(answer) = asking.next().await {
            if matches!(answer, Ok(Reply::FitnessToLead(fitness)) if outdoes(fitness, own)) {
                return true;
            }
        }
        false
    }
}

fn outdoes(voter: Fitness, own: Fitness) -> bool {
    voter.has_room && voter.is_whole && voter.last_log_index >= own.last_log_index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_node_is_outdone_by_whoever_can_write_and_has_all_of_its_log() {
        let own = Fitness { has_room: false, is_whole: true, last_log_index: 24, applied_index: 24 };
        let voter = Fitness { has_room: true, applied_index: 3, ..own };
        assert!(outdoes(voter, own), "it applies the rest when it leads");
        assert!(!outdoes(Fitness { last_log_index: 23, ..voter }, own));
        assert!(!outdoes(own, own), "it is full as well");
        assert!(!outdoes(Fitness { is_whole: false, ..voter }, own));
    }
}
