//! The fence of this node's data directory, judged at every greeting.
//!
//! A cluster that was recovered or restored has another fence than before, and nodes of different fences do
//! not speak to each other. The one exception: a node that has neither log nor vote nor state belongs to
//! nobody yet, and takes over the fence of the first member of a recovered cluster that greets it. That is
//! how a wiped node joins again. What it has greeted before with its old fence is cut off then.

use std::sync::Arc;

use crate::model::NodeId;
use crate::store::{Directory, Log};

use super::refusals::Refusals;

/// The fence, and what decides about others. Cheap to clone.
#[derive(Clone)]
pub struct Fence {
    directory: Arc<Directory>,
    log: Log,
    refusals: Refusals,
}

impl Fence {
    /// The fence of `directory`; `log` tells whether the node belongs to anybody yet.
    pub fn new(directory: Arc<Directory>, log: Log) -> Self {
        Self { directory, log, refusals: Refusals::default() }
    }

    /// The fence as it is now.
    pub fn current(&self) -> u64 {
        self.directory.identity().fence
    }

    /// Who is refused, and why.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Whether this node speaks to a peer of that fence. A refusal is noted.
    ///
    /// # Errors
    /// Why it does not, and what to do.
    pub fn admit(&self, peer: NodeId, theirs: u64) -> Result<(), String> {
        let ours = self.current();
        let reason = match fenced_off(ours, theirs) {
            None => {
                self.refusals.forget(peer);
                return Ok(());
            }
            Some(reason) => reason,
        };
        if ours == 0 && self.belongs_to_nobody() {
            return self.adopt(theirs);
        }
        self.refusals.note(peer, reason.clone());
        Err(reason)
    }

    fn belongs_to_nobody(&self) -> bool {
        self.log.read_vote().is_none() && self.log.bounds() == (None, None)
    }

    fn adopt(&self, theirs: u64) -> Result<(), String> {
        self.directory.adopt_fence(theirs).map_err(|error| error.to_string())?;
        tracing::info!(fence = theirs, "this new node belongs to a recovered or restored cluster");
        Ok(())
    }
}

/// Why a node of fence `ours` does not speak to a peer of fence `theirs`; none when it may.
pub fn fenced_off(ours: u64, theirs: u64) -> Option<String> {
    match (ours, theirs) {
        _ if ours == theirs => None,
        (_, 0) => Some(
            "it belongs to the cluster before it was recovered or restored; wipe its data directory and \
             join it again"
                .to_owned(),
        ),
        (0, _) => Some(format!(
            "this node belongs to the cluster before it was recovered or restored (fence {theirs}); wipe \
             this node's data directory and join it again"
        )),
        _ => Some(format!(
            "it belongs to another recovery of the cluster (fence {theirs}, here {ours}); wipe the data \
             directory of whichever is out of date and join it again"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Identity, LogOptions, StoredVote};

    fn node(home: &std::path::Path, fence: u64) -> Fence {
        let owner = Identity { cluster: "west".to_owned(), node: 3, fence };
        let directory = Arc::new(Directory::open(home, &owner).unwrap());
        let log = Log::open(&directory.log(), LogOptions::default()).unwrap();
        Fence::new(directory, log)
    }

    #[test]
    fn nodes_of_one_fence_speak_and_others_are_told_what_to_do() {
        assert_eq!(fenced_off(0, 0), None);
        assert_eq!(fenced_off(7, 7), None);
        for (ours, theirs) in [(7, 0), (0, 7), (7, 8)] {
            assert!(fenced_off(ours, theirs).unwrap().contains("wipe"), "{ours} {theirs}");
        }
        assert!(fenced_off(0, 7).unwrap().starts_with("this node belongs to the cluster before"));
    }

    #[test]
    fn a_node_that_belongs_to_nobody_takes_over_a_fence_once_and_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let fence = node(home.path(), 0);
        assert_eq!(fence.admit(1, 0), Ok(()));
        assert_eq!(fence.admit(1, 7), Ok(()));
        assert_eq!(fence.current(), 7);
        assert!(fence.admit(2, 0).is_err());
        assert!(fence.admit(2, 8).is_err());
        drop(fence);
        assert_eq!(node(home.path(), 0).current(), 7);
    }

    #[test]
    fn a_node_that_has_voted_keeps_its_fence() {
        let home = tempfile::tempdir().unwrap();
        let fence = node(home.path(), 0);
        let vote = StoredVote { term: 1, node: 1, committed: false };
        fence.log.save_vote(vote, Box::new(|_| {})).unwrap();
        assert!(fence.admit(1, 7).is_err());
        assert_eq!(fence.refusals().list().len(), 1);
        assert_eq!((fence.current(), fence.admit(1, 0)), (0, Ok(())));
        assert!(fence.refusals().list().is_empty());
    }
}
