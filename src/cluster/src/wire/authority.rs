//! How far the replacement of the cluster's certificate authority is.

use keymoot_model::NodeId;
use serde::{Deserialize, Serialize};

/// How far a replacement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthorityStage {
    /// None is under way.
    Settled,
    /// The next one is announced, and nodes begin to trust both.
    Announced,
    /// The next one signs, and nodes renew their certificates under it.
    Adopted,
}

/// How far a replacement is, and the members that are not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityProgress {
    pub stage: AuthorityStage,
    pub waits_for: Vec<NodeId>,
    /// When the next one began to sign: milliseconds since 1970 UTC.
    pub adopted_at_ms: Option<u64>,
}
