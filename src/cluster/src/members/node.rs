//! A running node.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use keymoot_crypto::{ClusterName, Keyring, PeerIdentity};
use keymoot_model::NodeId;
use keymoot_state::{ClusterIdentity, NodeFacts, NodeRecord};
use keymoot_store::Directory;
use keymoot_telemetry::Metrics;

use crate::members::membership::ChangeTurn;
use crate::peer::fatal_signal::FatalSignal;
use crate::peer::feature_level::FeatureLevel;
use crate::peer::fence::Fence;
use crate::peer::leader_client::LeaderClient;
use crate::peer::refusal_log::RefusalLog;
use crate::raft::Raft;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::write::disk::Disk;
use crate::write::forwarder::ProposalForwarder;

/// What runs on a node.
pub struct Node {
    pub id: NodeId,
    pub cluster: ClusterName,
    pub raft: Raft,
    pub state: StateView,
    pub directory: Arc<Directory>,
    pub fence: Fence,
    pub keyring: Arc<Keyring>,
    pub disk: Disk,
    pub metrics: Arc<Metrics>,
    pub forwarder: Arc<ProposalForwarder>,
    pub barrier: Arc<ReadBarrier>,
    /// Until when this node answers no vote; `None` when it never promised anything.
    pub silent_until: Option<Instant>,
    pub identity: ClusterIdentity,
    pub leader_client: LeaderClient,
    pub info: NodeInfo,
    pub feature_level: FeatureLevel,
    pub fatal: FatalSignal,
    /// One change of the members at a time.
    pub change_turn: tokio::sync::Mutex<ChangeTurn>,
    pub refusal_log: RefusalLog,
    /// Nodes that were removed and are no members any more.
    pub removed: ArcSwap<BTreeSet<NodeId>>,
}

/// What a node knows of itself from its configuration and certificate.
pub struct NodeInfo {
    pub facts: NodeFacts,
    /// Where its peers shall reach it.
    pub peer_address: String,
    pub data_dir: PathBuf,
    pub certificate_expires_at_s: Option<i64>,
    pub authority_pem: String,
    /// A member that was not heard of for so long counts as down.
    pub silence: Duration,
}

impl Node {
    /// A restarted node does not know which lease it granted before, so it votes for nobody until
    /// every such lease has run out.
    pub fn is_voting_too_early(&self) -> bool {
        self.silent_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether the cluster removed this node.
    pub fn is_removed(&self, identity: PeerIdentity) -> bool {
        matches!(identity, PeerIdentity::Node(id) if self.removed.load().contains(&id))
    }

    /// Notes the nodes that were removed.
    pub fn note_removed<'n>(&self, removed: impl Iterator<Item = &'n NodeRecord>) {
        let removed: BTreeSet<NodeId> = removed.map(|node| node.id).filter(|id| *id != self.id).collect();
        if **self.removed.load() != removed {
            // The refusals of a removed node are of no use any more.
            removed.iter().for_each(|id| self.fence.refusals().forget(*id));
            self.removed.store(Arc::new(removed));
        }
    }
}
