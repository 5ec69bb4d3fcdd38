//! This end of the connections between nodes: its identity, its proofs, and its greeting.

use std::sync::Arc;

use keymoot_audit::{AuditLog, NodeAudit};
use keymoot_crypto::{Keyring, PeerVersion};
use keymoot_model::ClusterName;
use keymoot_model::NodeId;

use crate::peer::fatal_signal::FatalSignal;
use crate::peer::feature_level::FeatureLevel;
use crate::peer::fence::Fence;
use crate::peer::known_keys::KnownKeys;
use crate::peer::proof::{self, Prover, Verifiers};
use crate::wire::message::{Hello, PROTOCOL};

/// This end of a connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LocalEnd {
    pub cluster: ClusterName,
    /// `None` for a tool without a node's certificate.
    pub node: Option<NodeId>,
    /// The fence of the data directory; a tool has none.
    pub fence: Option<Fence>,
    /// The master keys that this end proves to a peer; none on a witness.
    pub keyring: Arc<Keyring>,
    /// What a witness tells holders of a master key by.
    pub verifiers: Verifiers,
    pub feature_level: FeatureLevel,
    /// Who may enter by a certificate.
    pub keys: KnownKeys,
    /// Raised when a peer reports that this node must not continue.
    pub fatal: FatalSignal,
    /// What this node has to tell auditors; a tool has nothing.
    pub audit: NodeAudit,
}

impl LocalEnd {
    /// The end of an operator's tool, which has no state and is no member.
    pub(crate) fn of_tool(cluster: ClusterName, node: Option<NodeId>, keyring: Arc<Keyring>) -> Self {
        let (feature_level, keys) = (FeatureLevel::unknown(), KnownKeys::unknown());
        let (verifiers, fatal) = (Verifiers::fixed(Vec::new()), FatalSignal::default());
        let audit = NodeAudit { log: AuditLog::in_memory(), node: node.unwrap_or_default() };
        Self { cluster, node, fence: None, keyring, verifiers, feature_level, keys, fatal, audit }
    }

    /// Whether this end is a witness, which holds no master key.
    pub(crate) fn is_witness(&self) -> bool {
        self.keyring.is_empty()
    }

    /// What this end proves itself with.
    pub(crate) fn prover(&self) -> Prover {
        let (cluster, keyring, verifiers) =
            (self.cluster.clone(), self.keyring.clone(), self.verifiers.clone());
        Prover { cluster, keyring, verifiers }
    }

    /// Whether nothing goes without the proof of the other end, which can prove itself from the version `able` on.
    /// A witness believes nobody without: where there is one, every node can.
    pub(crate) fn demands_proof(&self, version: PeerVersion, able: PeerVersion) -> bool {
        self.is_witness() || proof::is_demanded(&self.feature_level, version, able)
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
