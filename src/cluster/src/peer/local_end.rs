//! This end of the connections between nodes: its identity, its proofs, and its greeting.

use std::sync::Arc;

use keymoot_crypto::Keyring;
use keymoot_model::ClusterName;
use keymoot_model::NodeId;

use crate::peer::fatal_signal::FatalSignal;
use crate::peer::feature_level::FeatureLevel;
use crate::peer::fence::Fence;
use crate::peer::known_keys::KnownKeys;
use crate::wire::message::{Hello, PROTOCOL};

/// This end of a connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LocalEnd {
    pub cluster: ClusterName,
    /// `None` for a tool without a node's certificate.
    pub node: Option<NodeId>,
    /// The fence of the data directory; a tool has none.
    pub fence: Option<Fence>,
    /// The master keys that this end proves to a peer.
    pub keyring: Arc<Keyring>,
    pub feature_level: FeatureLevel,
    /// Who may enter by a certificate.
    pub keys: KnownKeys,
    /// Raised when a peer reports that this node must not continue.
    pub fatal: FatalSignal,
}

impl LocalEnd {
    /// The end of an operator's tool, which has no state and is no member.
    pub(crate) fn of_tool(cluster: ClusterName, node: Option<NodeId>, keyring: Arc<Keyring>) -> Self {
        let (feature_level, keys) = (FeatureLevel::unknown(), KnownKeys::unknown());
        Self { cluster, node, fence: None, keyring, feature_level, keys, fatal: FatalSignal::default() }
    }

    /// The first message of this end. [`Fence::greeting`] adds the fence.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            cluster: self.cluster.as_str().to_owned(),
            node: self.node,
            fence: None,
            feature_level: self.feature_level.for_greeting(),
            removed: false,
        }
    }
}
