//! The nodes that the cluster removed: they are told so and not served.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use keymoot_model::NodeId;

use crate::peer::fence::Fence;

/// The removed nodes, from this node's state.
pub(crate) struct RemovedNodes {
    me: NodeId,
    fence: Fence,
    ids: ArcSwap<BTreeSet<NodeId>>,
}

impl RemovedNodes {
    /// No removed nodes yet, on node `me`.
    pub(crate) fn new(me: NodeId, fence: Fence) -> Self {
        Self { me, fence, ids: ArcSwap::default() }
    }

    /// Whether the cluster removed node `id`.
    pub(crate) fn contains(&self, id: NodeId) -> bool {
        self.ids.load().contains(&id)
    }

    /// Replaces the removed nodes, and drops refusals that are of no further use: theirs, and those of
    /// others that are no members and have stopped trying.
    pub(crate) fn replace(&self, removed: impl Iterator<Item = NodeId>, members: &BTreeSet<NodeId>) {
        self.fence.refusals().forget_strangers(members);
        let removed: BTreeSet<NodeId> = removed.filter(|id| *id != self.me).collect();
        removed.iter().for_each(|id| self.fence.refusals().forget(*id));
        if **self.ids.load() != removed {
            self.ids.store(Arc::new(removed));
        }
    }
}
