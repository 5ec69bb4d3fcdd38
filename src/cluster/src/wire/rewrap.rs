//! The progress of a rewrap of the secrets, and the master keys of a node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;

/// The progress of a walk through the state: the last record that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewrapMark {
    pub(crate) table: u32,
    pub(crate) key: Vec<u8>,
}

/// The result of one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrapped {
    /// The master key that wraps the secrets now.
    pub active: String,
    /// The number of records that were read.
    pub records: u64,
    /// The number of secrets that were replaced.
    pub exchanged: u64,
    /// The number of secrets that had changed meanwhile.
    pub changed_meanwhile: u64,
    /// The start of the next batch; `None` after the last.
    pub next: Option<RewrapMark>,
}

/// The master keys of a node, and the number of secrets under each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyringStatus {
    pub node: NodeId,
    /// The key that wraps new secrets.
    pub active: String,
    /// Its keys, each with its fingerprint.
    pub fingerprints: BTreeMap<String, String>,
    /// The number of secrets of the state under each key, if they were counted.
    pub secrets: BTreeMap<String, u64>,
}
