//! The fence of this node's data directory, checked at every greeting; then also the peer's data
//! directory.
//!
//! A cluster that was recovered or restored has a new fence, and nodes of different fences do not
//! communicate. The one exception: a node with neither log nor vote nor state belongs to no cluster
//! yet, and adopts the fence of the first member of a recovered cluster that greets it. That is how
//! an empty member of a restored cluster gets its data. Its earlier connections, greeted with its
//! old fence, are closed then. A peer of another fence is never remembered.

use std::sync::Arc;

use keymoot_crypto::PeerVersion;
use keymoot_model::NodeId;
use keymoot_store::{Directory, Log};

use crate::peer::greeting::{Refused, judge_directory};
use crate::peer::refusals::Refusals;
use crate::wire::greeting::Greeting;
use crate::wire::message::Hello;

/// This node's fence, and the checks of peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fence {
    directory: Arc<Directory>,
    log: Log,
    refusals: Refusals,
}

impl Fence {
    /// The fence of `directory`; `log` tells whether the node belongs to a cluster yet.
    pub(crate) fn new(directory: Arc<Directory>, log: Log) -> Self {
        Self { directory, log, refusals: Refusals::default() }
    }

    /// The fence as it is now.
    pub(crate) fn current(&self) -> u64 {
        self.directory.identity().fence
    }

    /// The refused peers, and why.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// The greeting to a peer; that to a tool, which is no peer, holds less.
    pub(crate) fn greeting(&self, hello: Hello, peer: Option<NodeId>) -> Greeting {
        Greeting {
            hello: Hello { fence: Some(self.current()), ..hello },
            incarnation: Some(self.directory.incarnation()),
            remembered: peer.and_then(|peer| self.directory.remembered(peer)),
        }
    }

    /// Checks whether this node accepts a peer with this greeting. A refusal is noted.
    ///
    /// # Errors
    /// The text says why it does not, and what to do.
    pub(crate) fn check_peer(
        &self,
        peer: NodeId,
        version: PeerVersion,
        theirs: &Greeting,
    ) -> Result<(), Refused> {
        // A tool is no member and may do nothing that a member does.
        let Some(fence) = theirs.hello.fence else { return Ok(()) };
        let judged = self
            .judge_fence(fence)
            .and_then(|()| judge_directory(&self.directory, peer, version, fence, theirs));
        match &judged {
            Ok(()) => self.refusals.forget(peer),
            Err(Refused::Peer(reason)) => self.refusals.note(peer, reason.clone()),
            Err(Refused::Own(_)) => {}
        }
        judged
    }

    fn judge_fence(&self, theirs: u64) -> Result<(), Refused> {
        let ours = self.current();
        match fenced_off(ours, theirs) {
            None => Ok(()),
            Some(_) if ours == 0 && self.belongs_to_nobody() => self.adopt(theirs).map_err(Refused::Peer),
            Some(reason) => Err(Refused::Peer(reason)),
        }
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

/// Why a node of fence `ours` refuses a peer of fence `theirs`; `None` when it accepts it.
pub fn fenced_off(ours: u64, theirs: u64) -> Option<String> {
    match (ours, theirs) {
        _ if ours == theirs => None,
        (_, 0) => Some(
            "it belongs to the cluster before it was recovered or restored; move its data directory away, then \
             start it again if this cluster has it as a member, else let it join under a new id: docs/backup.md"
                .to_owned(),
        ),
        (0, _) => Some(format!(
            "this node belongs to the cluster before it was recovered or restored (fence {theirs}); move its \
             data directory away, then start it again if that cluster has it as a member, else let it join under \
             a new id: docs/backup.md"
        )),
        _ => Some(format!(
            "it belongs to another recovery of the cluster (fence {theirs}, here {ours}); move the data directory \
             of whichever is out of date away, then start it again if the other has it as a member, else let it \
             join under a new id: docs/backup.md"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_store::{Identity, Incarnation, LogOptions, StoredVote};

    fn node(home: &std::path::Path, fence: u64) -> Fence {
        let owner = Identity { cluster: "west".to_owned(), node: 3, fence };
        let directory = Arc::new(Directory::open(home, &owner).unwrap());
        let log = Log::open(&directory.log(), LogOptions::default()).unwrap();
        Fence::new(directory, log)
    }

    /// The greeting of a peer with this fence and data directory.
    fn said(fence: u64, incarnation: u128) -> Greeting {
        let hello = Hello {
            protocol: 1,
            cluster: "west".to_owned(),
            node: None,
            fence: Some(fence),
            feature_level: 1,
            removed: false,
        };
        Greeting { hello, incarnation: Some(Incarnation::from_number(incarnation)), remembered: None }
    }

    fn check(node: &Fence, peer: NodeId, fence: u64) -> Result<(), Refused> {
        node.check_peer(peer, PeerVersion::Second, &said(fence, u128::from(peer)))
    }

    #[test]
    fn nodes_of_one_fence_speak_and_others_are_told_what_to_do() {
        assert_eq!(fenced_off(0, 0), None);
        assert_eq!(fenced_off(7, 7), None);
        for (ours, theirs) in [(7, 0), (0, 7), (7, 8)] {
            assert!(fenced_off(ours, theirs).unwrap().contains("under a new id"), "{ours} {theirs}");
        }
        assert!(fenced_off(0, 7).unwrap().starts_with("this node belongs to the cluster before"));
    }

    #[test]
    fn a_node_that_belongs_to_nobody_takes_over_a_fence_once_and_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let fence = node(home.path(), 0);
        assert_eq!(check(&fence, 1, 0), Ok(()));
        assert_eq!(check(&fence, 1, 7), Ok(()));
        assert_eq!(fence.current(), 7);
        assert!(check(&fence, 2, 0).is_err());
        assert!(check(&fence, 2, 8).is_err());
        drop(fence);
        assert_eq!(node(home.path(), 0).current(), 7);
    }

    #[test]
    fn a_node_that_has_voted_keeps_its_fence() {
        let home = tempfile::tempdir().unwrap();
        let fence = node(home.path(), 0);
        let vote = StoredVote { term: 1, node: 1, committed: false };
        fence.log.save_vote(vote, Box::new(|_| {})).unwrap();
        assert!(check(&fence, 1, 7).is_err());
        assert_eq!(fence.refusals().list().len(), 1);
        assert_eq!((fence.current(), check(&fence, 1, 0)), (0, Ok(())));
        assert!(fence.refusals().list().is_empty());
    }

    #[test]
    fn nobody_of_another_fence_is_remembered_and_a_new_fence_begins_with_nobody() {
        let home = tempfile::tempdir().unwrap();
        let fence = node(home.path(), 0);
        check(&fence, 1, 0).unwrap();
        // The node adopts the fence of the recovered cluster, in which node 1 has another
        // directory.
        assert_eq!(fence.check_peer(1, PeerVersion::Second, &said(7, 100)), Ok(()));
        assert!(fence.check_peer(2, PeerVersion::Second, &said(0, 2)).is_err());
        assert_eq!(fence.check_peer(2, PeerVersion::Second, &said(7, 200)), Ok(()));
        let emptied = fence.check_peer(2, PeerVersion::Second, &said(7, 201));
        assert!(matches!(&emptied, Err(Refused::Peer(reason)) if reason.contains("cluster remove 2")));
        assert!(fence.refusals().list()[&2].contains("cluster remove 2"));
        assert_eq!(fence.check_peer(2, PeerVersion::Second, &said(7, 200)), Ok(()));
        assert!(fence.refusals().list().is_empty());
        let says = fence.greeting(said(0, 0).hello, Some(2));
        assert_eq!((says.hello.fence, says.remembered), (Some(7), Some(Incarnation::from_number(200))));
        assert_eq!(fence.greeting(said(0, 0).hello, None).remembered, None);
    }
}
