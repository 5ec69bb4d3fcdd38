//! The digests of this node's state after some of the last applied entries, to be compared with
//! those of its peers.
//!
//! Nodes apply entries in runs of different lengths, and have the digest after each run. For the
//! nodes to have digests of equal positions, every run ends at a checkpoint, which is an entry whose
//! index is a multiple of a fixed number. The last positions are kept too: idle nodes have equal ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keymoot_store::LogPosition;

use crate::wire::report::StateDigest;

/// Entries whose index is a multiple of this are checkpoints.
const CHECKPOINT_ENTRIES: u64 = 256;
/// The number of checkpoints that are kept: under load, a node that lags and one that leads have one in
/// common.
const CHECKPOINTS: usize = 64;
/// The number of last positions that are kept: under little load, nodes that are a few entries apart have one
/// in common.
const LAST: usize = 16;

/// Whether a run must end with the entry of this index.
pub(crate) const fn is_checkpoint(index: u64) -> bool {
    index.is_multiple_of(CHECKPOINT_ENTRIES)
}

/// The digests of the last positions and checkpoints. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Checkpoints {
    digests: Arc<Mutex<Digests>>,
}

#[derive(Default)]
struct Digests {
    checkpoints: VecDeque<StateDigest>,
    last: VecDeque<StateDigest>,
    /// The digest of the records, less the one that is kept of them.
    correction: u128,
    /// How often the state was replaced.
    replaced: u64,
}

impl Checkpoints {
    /// Forgets all digests: the state is replaced by another one.
    pub(crate) fn clear(&self) {
        let mut digests = self.lock();
        *digests = Digests { replaced: digests.replaced + 1, ..Digests::default() };
    }

    /// Records the digest of the state after the entry `at`, once the state is written.
    pub(crate) fn record(&self, at: LogPosition, digest: u128) {
        let mut digests = self.lock();
        let digest = StateDigest { at, digest: digest.wrapping_add(digests.correction) };
        if is_checkpoint(at.index) {
            push(&mut digests.checkpoints, digest, CHECKPOINTS);
        }
        push(&mut digests.last, digest, LAST);
    }

    /// How often the state was replaced by another one.
    pub(crate) fn replaced(&self) -> u64 {
        self.lock().replaced
    }

    /// Corrects all digests, also those to come, by the digest of the records less the one that is kept of
    /// them. Digests are sums over the records, so this difference stays whatever entries are applied: one
    /// that overwrites an altered record takes the altered value out of the kept digest. Nothing is corrected when
    /// the state was replaced since `replaced` was asked for. Returns whether it was corrected.
    pub(crate) fn correct(&self, replaced: u64, correction: u128) -> bool {
        let mut digests = self.lock();
        if digests.replaced != replaced {
            return false;
        }
        let change = correction.wrapping_sub(digests.correction);
        digests.correction = correction;
        let Digests { checkpoints, last, .. } = &mut *digests;
        for digest in checkpoints.iter_mut().chain(last) {
            digest.digest = digest.digest.wrapping_add(change);
        }
        true
    }

    /// The digests, in the order of their positions.
    pub(crate) fn list(&self) -> Vec<StateDigest> {
        let digests = self.lock();
        let mut list: Vec<StateDigest> = digests.checkpoints.iter().chain(&digests.last).copied().collect();
        list.sort_by_key(|digest| digest.at);
        list.dedup();
        list
    }

    fn lock(&self) -> MutexGuard<'_, Digests> {
        // Each change leaves whole lists, so those behind a poisoned lock are whole.
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push(digests: &mut VecDeque<StateDigest>, digest: StateDigest, kept_max: usize) {
    digests.push_back(digest);
    if digests.len() > kept_max {
        digests.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_outlast_the_positions_between_them_and_none_is_listed_twice() {
        let checkpoints = Checkpoints::default();
        for index in 0..1000 {
            checkpoints.record(LogPosition { term: 1, node: 1, index }, u128::from(index));
        }
        let listed: Vec<u64> = checkpoints.list().iter().map(|digest| digest.at.index).collect();
        let expected: Vec<u64> = [0, 256, 512, 768].into_iter().chain(984..1000).collect();
        assert_eq!(listed, expected);
        for index in 1000..40_000 {
            checkpoints.record(LogPosition { term: 2, node: 1, index }, 0);
        }
        assert_eq!(checkpoints.list().len(), CHECKPOINTS + LAST, "memory is bounded");
        let digest_of = |index: usize| checkpoints.list()[index].digest;
        assert!(checkpoints.correct(0, 5) && checkpoints.correct(0, 7));
        checkpoints.record(LogPosition { term: 2, node: 1, index: 40_000 }, 1);
        assert_eq!((digest_of(0), digest_of(CHECKPOINTS + LAST - 1)), (7, 8));
        checkpoints.clear();
        assert!(checkpoints.list().is_empty());
        checkpoints.record(LogPosition { term: 2, node: 1, index: 40_001 }, 1);
        assert!(!checkpoints.correct(0, 7) && checkpoints.replaced() == 1);
        assert_eq!(digest_of(0), 1, "a state that replaces this one has nothing to correct");
    }
}
