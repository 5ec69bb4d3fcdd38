//! The nodes that the cluster removed and that are no members any more: they are told so and not served.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use keymoot_model::NodeId;
use keymoot_tls::PeerIdentity;

use crate::peer::fence::Fence;

/// The removed nodes, as this node's state has them.
pub(crate) struct RemovedNodes {
    me: NodeId,
    fence: Fence,
    ids: ArcSwap<BTreeSet<NodeId>>,
}

impl RemovedNodes {
    /// None yet, as node `me` knows.
    pub(crate) fn new(me: NodeId, fence: Fence) -> Self {
        Self { me, fence, ids: ArcSwap::default() }
    }

    /// Whether the cluster removed this node.
    pub(crate) fn contains(&self, identity: PeerIdentity) -> bool {
        matches!(identity, PeerIdentity::Node(id) if self.ids.load().contains(&id))
    }

    /// Replaces the removed nodes, and forgets their refusals, which are of no use any more.
    pub(crate) fn replace(&self, removed: impl Iterator<Item = NodeId>) {
        let removed: BTreeSet<NodeId> = removed.filter(|id| *id != self.me).collect();
        removed.iter().for_each(|id| self.fence.refusals().forget(*id));
        if **self.ids.load() != removed {
            self.ids.store(Arc::new(removed));
        }
    }
}
