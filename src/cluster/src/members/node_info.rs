//! The facts that a node has of itself from its configuration and certificate.

use std::path::PathBuf;
use std::time::Duration;

use keymoot_state::NodeFacts;

/// The facts that a node has of itself from its configuration and certificate.
pub(crate) struct NodeInfo {
    pub facts: NodeFacts,
    /// Where its peers shall reach it.
    pub peer_address: String,
    pub data_dir: PathBuf,
    pub certificate_expires_at_s: Option<i64>,
    pub authority_pem: String,
    /// A member that was not heard of for so long counts as down.
    pub silence: Duration,
}
