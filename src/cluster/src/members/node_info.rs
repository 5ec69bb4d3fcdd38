//! A node's facts about itself, from its configuration and certificate.

use std::path::PathBuf;
use std::time::Duration;

use keymoot_state::NodeFacts;

use crate::settings::MemberAddress;

/// A node's facts about itself, from its configuration and certificate.
pub(crate) struct NodeInfo {
    pub facts: NodeFacts,
    /// The address on which its peers reach it.
    pub peer_address: String,
    /// Addresses of other nodes that are tried beside those that the cluster knows.
    pub peer_hints: Vec<MemberAddress>,
    pub data_dir: PathBuf,
    pub certificate_expires_at_s: Option<i64>,
    pub authority_pem: String,
    /// A member that was silent for longer counts as down.
    pub silence: Duration,
}
