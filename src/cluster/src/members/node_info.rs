//! A node's facts about itself, from its configuration and certificate.

use std::path::PathBuf;
use std::time::Duration;

use keymoot_model::NodeId;
use keymoot_state::NodeFacts;
use keymoot_tls::PeerTls;

use crate::settings::MemberAddress;

/// A node's facts about itself, from its configuration and certificate.
pub(crate) struct NodeInfo {
    pub facts: NodeFacts,
    /// The address on which its peers reach it.
    pub peer_address: String,
    /// Addresses of other nodes that are tried beside those that the cluster knows.
    pub peer_hints: Vec<MemberAddress>,
    pub data_dir: PathBuf,
    /// Its certificate and the authorities that it trusts; `None` in a simulation.
    pub tls: Option<PeerTls>,
    /// How long certificates of nodes are valid.
    pub certificate_life: Duration,
    /// What its configuration permits and should not, each as `problem; remedy`.
    pub notices: Vec<String>,
    /// The node that this one was before its disk was replaced.
    pub replaces: Option<NodeId>,
    /// A member that was silent for longer counts as down.
    pub silence: Duration,
}

impl NodeInfo {
    /// End of validity of the certificate in use: seconds since 1970 UTC.
    pub(crate) fn certificate_expires_at_s(&self) -> Option<i64> {
        Some(self.tls.as_ref()?.validity()?.not_after_s)
    }

    /// SHA-256 of the public key in the certificate in use.
    pub(crate) fn key_digest(&self) -> Option<[u8; 32]> {
        self.tls.as_ref()?.key_digest()
    }

    /// The certificates of the authorities that the node trusts, PEM.
    pub(crate) fn authority_pem(&self) -> String {
        self.tls.as_ref().map(PeerTls::authority_pem).unwrap_or_default()
    }
}
