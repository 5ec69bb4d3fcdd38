//! The vote ledger: the vote this node has given, the commits it knows of and what of both is on
//! disk, readable without Raft's loop.
//!
//! Each fact is recorded before any other node can learn it: a vote before it is saved and sent, a
//! commit before a follower or a client hears of it. A reader that acts on a consequence of a fact
//! therefore sees the fact.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_model::NodeId;
use keymoot_store::{LogPosition, StoredVote};

/// One set of voters, or two while a membership change is in progress: a majority of each is
/// needed.
pub(crate) type Voters = Arc<[BTreeSet<NodeId>]>;

/// The vote, the commits and the voters as this node knows them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct VoteLedger {
    me: NodeId,
    facts: Arc<Mutex<Facts>>,
}

struct Facts {
    vote: Option<StoredVote>,
    /// The vote that this node was elected with since its start. An earlier one does not count: the
    /// node no longer leads by it, and may have lost its commits.
    won: Option<StoredVote>,
    committed: Option<LogPosition>,
    applied_index: u64,
    /// The voters as of the applied entries.
    voters: Voters,
    /// The log may hold a membership change up to this index.
    members_change_index: u64,
    /// The last vote that is on disk.
    saved_vote: Option<StoredVote>,
    /// The last entry of the log that is on disk.
    flushed: Option<LogPosition>,
    /// How often the log was truncated.
    truncations: u64,
}

/// Entries that are about to be appended.
#[derive(Clone, Copy)]
pub(crate) struct Appending {
    last: Option<LogPosition>,
    truncations: u64,
}

/// A leader's claim to lead, which a quorum confirms before a read is answered.
#[derive(Clone, Debug)]
pub(crate) struct LeaderClaim {
    /// The vote by which it leads.
    pub vote: StoredVote,
    /// The commit index; every acknowledged change is at or before it.
    pub committed_index: u64,
    /// The voters of which a majority must still support the vote.
    pub voters: Voters,
}

impl VoteLedger {
    /// The ledger of node `me`, with its saved vote and a log that ends with `last`.
    pub(crate) fn new(me: NodeId, vote: Option<StoredVote>, last: Option<LogPosition>) -> Self {
        let facts = Facts {
            vote,
            won: None,
            committed: None,
            applied_index: 0,
            voters: Arc::new([]),
            members_change_index: last.map_or(0, |last| last.index),
            saved_vote: vote,
            flushed: last,
            truncations: 0,
        };
        Self { me, facts: Arc::new(Mutex::new(facts)) }
    }

    /// Records a vote that is about to be saved: from now on no earlier one is supported.
    pub(crate) fn promise(&self, vote: StoredVote) {
        let mut facts = self.lock();
        if facts.vote.is_some_and(|given| given == vote || given.term > vote.term) {
            return;
        }
        facts.vote = Some(vote);
        facts.won = Some(vote).filter(|vote| vote.committed && vote.node == self.me);
    }

    /// Records that the log is committed up to here, before others hear of it.
    pub(crate) fn commit(&self, at: LogPosition) {
        let mut facts = self.lock();
        if facts.committed.is_none_or(|known| known.index < at.index) {
            facts.committed = Some(at);
        }
    }

    /// The last entry known to be committed since the start.
    pub(crate) fn committed(&self) -> Option<LogPosition> {
        self.lock().committed
    }

    /// Records that a vote is on disk.
    pub(crate) fn save(&self, vote: StoredVote) {
        let mut facts = self.lock();
        if facts.saved_vote.is_none_or(|saved| saved.term <= vote.term) {
            facts.saved_vote = Some(vote);
        }
    }

    /// Records the membership changes among entries that are about to be appended.
    pub(crate) fn append(&self, entries: &[(LogPosition, Bytes)]) -> Appending {
        for (at, payload) in entries {
            if codec::kind_of(payload) == Some(Kind::Membership) {
                self.members_change(at.index);
            }
        }
        Appending { last: entries.last().map(|(at, _)| *at), truncations: self.lock().truncations }
    }

    /// Records that these entries are on disk. Entries that were truncated meanwhile do not count.
    pub(crate) fn flush(&self, appended: Appending) {
        let mut facts = self.lock();
        if facts.truncations == appended.truncations && appended.last.is_some() {
            facts.flushed = appended.last;
        }
    }

    /// Records that everything up to here is on disk in the tables, whatever the log holds.
    pub(crate) fn purge(&self, upto: LogPosition) {
        let mut facts = self.lock();
        if facts.flushed.is_none_or(|flushed| flushed.index < upto.index) {
            facts.flushed = Some(upto);
        }
    }

    /// Records that a membership change is about to be appended.
    pub(crate) fn members_change(&self, index: u64) {
        let mut facts = self.lock();
        facts.members_change_index = facts.members_change_index.max(index);
    }

    /// Records that the log now ends here.
    pub(crate) fn truncate(&self, last: Option<LogPosition>) {
        let mut facts = self.lock();
        let last_index = last.map_or(0, |last| last.index);
        facts.members_change_index = facts.members_change_index.min(last_index);
        facts.truncations += 1;
        if facts.flushed.is_some_and(|flushed| flushed.index > last_index) {
            facts.flushed = last;
        }
    }

    /// The last vote, and the last entry known to be committed, that are on disk.
    pub(crate) fn on_disk(&self) -> (Option<StoredVote>, Option<LogPosition>) {
        let facts = self.lock();
        let held = match (facts.committed, facts.flushed) {
            (Some(committed), Some(flushed)) if committed.index <= flushed.index => Some(committed),
            // All that is on disk is committed.
            (Some(_), flushed) => flushed,
            (None, _) => None,
        };
        (facts.saved_vote, held)
    }

    /// The last entry of the log that is on disk.
    pub(crate) fn log_end_on_disk(&self) -> Option<LogPosition> {
        self.lock().flushed
    }

    /// Records that the entries up to here are applied, with the voters as of then if they may have
    /// changed.
    pub(crate) fn apply(&self, index: u64, voters: Option<Voters>) {
        let mut facts = self.lock();
        facts.applied_index = index;
        if let Some(voters) = voters {
            facts.voters = voters;
        }
    }

    /// The ledger of a state without a running node.
    pub(crate) fn detached() -> Self {
        Self::new(0, None, None)
    }

    pub(crate) const fn node(&self) -> NodeId {
        self.me
    }

    /// The last vote given.
    pub(crate) fn vote(&self) -> Option<StoredVote> {
        self.lock().vote
    }

    /// Whether this node still supports that vote: it has given no other one since.
    pub(crate) fn supports(&self, vote: &StoredVote) -> bool {
        self.vote().is_some_and(|given| given.is_for_same_leader(vote))
    }

    /// The claim under which this node may answer reads, if a majority still supports its vote.
    /// `None` while it does not lead, has committed nothing in its term, or does not know the
    /// voters for certain.
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
    /// Whether these are a majority of the voters.
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
        let ledger =
            VoteLedger::new(1, Some(StoredVote { term: 3, node: 2, committed: true }), Some(at(3, 2, 7)));
        ledger.apply(7, Some(voters(&[&[1, 2, 3]])));
        ledger.promise(WON);
        ledger.commit(at(4, 1, 8));
        ledger
    }

    #[test]
    fn a_leader_answers_from_what_it_has_committed_itself() {
        let ledger = VoteLedger::new(1, None, None);
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
        let ledger = VoteLedger::new(1, Some(WON), Some(at(4, 1, 8)));
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
        ledger.truncate(Some(at(4, 1, 8)));
        ledger.apply(8, None);
        assert!(ledger.leader_claim().is_some(), "the change is gone");
        ledger.members_change(9);
        ledger.apply(9, Some(voters(&[&[1, 2, 3], &[1, 2, 3, 4, 5]])));
        let claim = ledger.leader_claim().unwrap();
        assert!(!claim.is_quorum(&BTreeSet::from([1, 2])), "two of five");
        assert!(!claim.is_quorum(&BTreeSet::from([1, 4, 5])), "one of three");
        assert!(claim.is_quorum(&BTreeSet::from([1, 2, 4])));
        let fresh = VoteLedger::new(1, None, Some(at(4, 1, 5)));
        fresh.apply(4, Some(voters(&[&[1]])));
        fresh.promise(WON);
        fresh.commit(at(4, 1, 6));
        assert!(fresh.leader_claim().is_none(), "entry 5 may be a change of the members");
    }

    #[test]
    fn only_what_is_committed_and_on_disk_is_held() {
        let entry = |at| (at, Bytes::new());
        let ledger = VoteLedger::new(1, None, Some(at(1, 1, 5)));
        assert_eq!(ledger.on_disk(), (None, None), "nothing is known to be committed");
        ledger.commit(at(1, 1, 4));
        assert_eq!(ledger.on_disk().1, Some(at(1, 1, 4)));
        ledger.append(&[entry(at(1, 1, 6))]);
        ledger.commit(at(1, 1, 6));
        assert_eq!(ledger.on_disk().1, Some(at(1, 1, 5)), "entry 6 is not on disk yet");
        let seventh = ledger.append(&[entry(at(1, 1, 7))]);
        ledger.truncate(Some(at(1, 1, 6)));
        ledger.flush(seventh);
        assert_eq!(ledger.log_end_on_disk(), Some(at(1, 1, 5)), "entry 7 was truncated");
        ledger.flush(ledger.append(&[entry(at(2, 2, 7))]));
        assert_eq!((ledger.on_disk().1, ledger.log_end_on_disk()), (Some(at(1, 1, 6)), Some(at(2, 2, 7))));
        ledger.promise(WON);
        assert_eq!(ledger.on_disk().0, None);
        ledger.save(WON);
        ledger.save(StoredVote { term: 3, node: 2, committed: true });
        assert_eq!(ledger.on_disk().0, Some(WON));
        ledger.purge(at(5, 1, 90));
        assert_eq!(ledger.log_end_on_disk(), Some(at(5, 1, 90)));
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
