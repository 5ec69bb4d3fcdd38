//! How far a rewrap of the secrets has come, and the master keys of a node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;

/// How far a walk through the state has come: the last record looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewrapMark {
    pub(crate) table: u32,
    pub(crate) key: Vec<u8>,
}

/// What one stretch came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrapped {
    /// The master key under which secrets are put.
    pub active: String,
    /// Records that were looked at.
    pub records: u64,
    /// Secrets that were exchanged.
    pub exchanged: u64,
    /// Secrets that had changed meanwhile.
    pub changed_meanwhile: u64,
    /// Where the next stretch begins; none behind the last.
    pub next: Option<RewrapMark>,
}

/// The master keys of a node, and what stands under which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyringStatus {
    /// The node.
    pub node: NodeId,
    /// The key that it wraps new secrets under.
    pub active: String,
    /// Its keys, each with its fingerprint.
    pub fingerprints: BTreeMap<String, String>,
    /// How many secrets of the state stand under each key, if they were counted.
    pub secrets: BTreeMap<String, u64>,
}
