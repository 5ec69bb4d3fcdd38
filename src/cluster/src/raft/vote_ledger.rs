//! The vote ledger: the vote this node has given and what it knows to be committed, readable without asking
//! Raft's loop.
//!
//! Each fact is recorded before any other node can learn it: a vote before it is saved and sent, a commit before
//! a follower or a client hears of it. A reader that acts on a consequence of a fact therefore sees the fact.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_model::NodeId;
use keymoot_store::{LogPosition, StoredVote};

/// One set of voters, or two while a change is under way: most of each are needed.
pub(crate) type Voters = Arc<[BTreeSet<NodeId>]>;

/// The vote, the commits and the voters as this node knows them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct VoteLedger {
    me: NodeId,
    facts: Arc<Mutex<Facts>>,
}

struct Facts {
    vote: Option<StoredVote>,
    /// The vote that this node was elected with, since it was started. One it won before says nothing: it
    /// does not lead by it any more, and may have forgotten what it committed.
    won: Option<StoredVote>,
    committed: Option<LogPosition>,
    applied_index: u64,
    /// The voters as of the applied entries.
    voters: Voters,
    /// Up to here the log may hold a change of the members.
    members_change_index: u64,
}

/// A leader's claim to lead, which a quorum confirms before a read is answered.
#[derive(Clone, Debug)]
pub(crate) struct LeaderClaim {
    /// By which vote it leads.
    pub vote: StoredVote,
    /// How far the log is committed; a change that was acknowledged is not behind it.
    pub committed_index: u64,
    /// A majority of these must still support the vote.
    pub voters: Voters,
}

impl VoteLedger {
    /// The ledger of node `me`, which starts with this vote and a log that ends at `last_index`.
    pub(crate) fn new(me: NodeId, vote: Option<StoredVote>, last_index: u64) -> Self {
        let facts = Facts {
            vote,
            won: None,
            committed: None,
            applied_index: 0,
            voters: Arc::new([]),
            members_change_index: last_index,
        };
        Self { me, facts: Arc::new(Mutex::new(facts)) }
    }

    /// Records a vote that is about to be saved: no earlier one is supported from now on.
    pub(crate) fn promise(&self, vote: StoredVote) {
        let mut facts = self.lock();
        if facts.vote.is_some_and(|given| given == vote || given.term > vote.term) {
            return;
        }
        facts.vote = Some(vote);
        facts.won = Some(vote).filter(|vote| vote.committed && vote.node == self.me);
    }

    /// The log is committed up to here, and others are about to hear so.
    pub(crate) fn commit(&self, at: LogPosition) {
        let mut facts = self.lock();
        if facts.committed.is_none_or(|known| known.index < at.index) {
            facts.committed = Some(at);
        }
    }

    /// Records the changes of the members among entries that the log is about to hold.
    pub(crate) fn note_entries(&self, entries: &[(LogPosition, Bytes)]) {
        for (at, payload) in entries {
            if codec::kind_of(payload) == Some(Kind::Membership) {
                self.members_change(at.index);
            }
        }
    }

    /// The log is about to hold a change of the members.
    pub(crate) fn members_change(&self, index: u64) {
        let mut facts = self.lock();
        facts.members_change_index = facts.members_change_index.max(index);
    }

    /// The log ends here now.
    pub(crate) fn truncate(&self, last_index: u64) {
        let mut facts = self.lock();
        facts.members_change_index = facts.members_change_index.min(last_index);
    }

    /// The entries up to here are applied, and these are the voters as of then, where they may have changed.
    pub(crate) fn apply(&self, index: u64, voters: Option<Voters>) {
        let mut facts = self.lock();
        facts.applied_index = index;
        if let Some(voters) = voters {
            facts.voters = voters;
        }
    }

    /// The ledger of a state that no node runs on.
    pub(crate) fn detached() -> Self {
        Self::new(0, None, 0)
    }

    pub(crate) const fn node(&self) -> NodeId {
        self.me
    }

    /// The vote last given.
    pub(crate) fn vote(&self) -> Option<StoredVote> {
        self.lock().vote
    }

    /// Whether this node still supports that vote: it has given no other one since.
    pub(crate) fn supports(&self, vote: &StoredVote) -> bool {
        self.vote().is_some_and(|given| given.is_for_same_leader(vote))
    }

    /// What this node may answer from, if a majority still supports its vote. `None` while it does not lead, has
    /// committed nothing of its own, or does not know the voters for certain.
    pub(crate) fn leader_claim(&self) -> Option<LeaderClaim> {
        let facts = self.lock();
        let vote = facts.won?;
        let committed = facts.committed.filter(|at| at.term == vote.term && at.node == vote.node)?;
        let voters_are_known = facts.applied_index >= facts.members_change_index;
        voters_are_known.then(|| LeaderClaim {
            vote,
            committed_index: committed.index,
            voters: facts.voters.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaderClaim {
    /// Whether these are most of the voters.
    pub(crate) fn is_quorum(&self, supporters: &BTreeSet<NodeId>) -> bool {
        let most = |voters: &BTreeSet<NodeId>| voters.intersection(supporters).count() > voters.len() / 2;
        !self.voters.is_empty() && self.voters.iter().all(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WON: StoredVote = StoredVote { term: 4, node: 1, committed: true };

    fn at(term: u64, node: u64, index: u64) -> LogPosition {
        LogPosition { term, node, index }
    }

    fn voters(sets: &[&[NodeId]]) -> Voters {
        sets.iter().map(|set| set.iter().copied().collect()).collect()
    }

    fn leading() -> VoteLedger {
        let ledger = VoteLedger::new(1, Some(StoredVote { term: 3, node: 2, committed: true }), 7);
        ledger.apply(7, Some(voters(&[&[1, 2, 3]])));
        ledger.promise(WON);
        ledger.commit(at(4, 1, 8));
        ledger
    }

    #[test]
    fn a_leader_answers_from_what_it_has_committed_itself() {
        let ledger = VoteLedger::new(1, None, 0);
        ledger.apply(0, Some(voters(&[&[1]])));
        assert!(ledger.leader_claim().is_none(), "nobody elected it");
        ledger.promise(WON);
        ledger.commit(at(3, 2, 8));
        assert!(ledger.leader_claim().is_none(), "what it has is its predecessor's");
        ledger.commit(at(4, 1, 9));
        ledger.commit(at(4, 1, 6));
        assert_eq!(ledger.leader_claim().unwrap().committed_index, 9, "a commit is not taken back");
    }

    #[test]
    fn whoever_votes_for_another_neither_leads_nor_stands_by_the_old_vote() {
        let ledger = leading();
        assert!(ledger.leader_claim().is_some() && ledger.supports(&WON));
        assert!(ledger.supports(&StoredVote { committed: false, ..WON }));
        ledger.promise(StoredVote { term: 5, node: 2, committed: false });
        assert!(ledger.leader_claim().is_none() && !ledger.supports(&WON));
        ledger.promise(StoredVote { term: 5, node: 1, committed: false });
        assert!(ledger.leader_claim().is_none(), "to stand for election is not to win it");
        ledger.promise(WON);
        assert!(ledger.leader_claim().is_none() && !ledger.supports(&WON), "a promise is not taken back");
    }

    #[test]
    fn an_election_won_before_the_start_is_no_lead() {
        let ledger = VoteLedger::new(1, Some(WON), 8);
        ledger.apply(8, Some(voters(&[&[1, 2, 3]])));
        ledger.commit(at(4, 1, 8));
        assert!(ledger.supports(&WON), "it gave its vote to nobody else");
        assert!(ledger.leader_claim().is_none());
        ledger.promise(WON);
        assert!(ledger.leader_claim().is_none(), "to save it again is not to win it again");
    }

    #[test]
    fn voters_that_may_be_others_are_not_believed() {
        let ledger = leading();
        ledger.members_change(9);
        assert!(ledger.leader_claim().is_none());
        ledger.truncate(8);
        ledger.apply(8, None);
        assert!(ledger.leader_claim().is_some(), "the change is gone");
        ledger.members_change(9);
        ledger.apply(9, Some(voters(&[&[1, 2, 3], &[1, 2, 3, 4, 5]])));
        let claim = ledger.leader_claim().unwrap();
        assert!(!claim.is_quorum(&BTreeSet::from([1, 2])), "two of five");
        assert!(!claim.is_quorum(&BTreeSet::from([1, 4, 5])), "one of three");
        assert!(claim.is_quorum(&BTreeSet::from([1, 2, 4])));
        let fresh = VoteLedger::new(1, None, 5);
        fresh.apply(4, Some(voters(&[&[1]])));
        fresh.promise(WON);
        fresh.commit(at(4, 1, 6));
        assert!(fresh.leader_claim().is_none(), "entry 5 may be a change of the members");
    }

    #[test]
    fn half_is_not_most_and_without_voters_there_is_no_quorum() {
        let claim = |sets: &[&[NodeId]]| LeaderClaim { vote: WON, committed_index: 1, voters: voters(sets) };
        assert!(!claim(&[&[1, 2]]).is_quorum(&BTreeSet::from([1])));
        assert!(!claim(&[&[1, 2, 3, 4]]).is_quorum(&BTreeSet::from([1, 2])));
        assert!(claim(&[&[1, 2, 3]]).is_quorum(&BTreeSet::from([1, 3])));
        assert!(!claim(&[&[1, 2, 3]]).is_quorum(&BTreeSet::from([1, 7, 8])), "learners do not count");
        assert!(!claim(&[]).is_quorum(&BTreeSet::from([1])));
    }
}
