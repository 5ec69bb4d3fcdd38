//! What the tables hold.

use serde::{Deserialize, Serialize};

use keymoot_model::{KeyPlace, KeyRecord, NodeId, PolicyRecord, Wrapped};

use super::command::NodeFacts;

use super::response::Response;

/// A track: its current key, which every read wants, and the next version's number.
///
/// It stays when the key is deleted, so that no version is ever used twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Track {
    pub next_version: u32,
    pub current: Option<KeyRecord>,
    /// Its number within its content, once it rotates.
    pub number: Option<u16>,
}

/// The number of a content with rotating tracks, and that of its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContentNumber {
    pub number: u64,
    pub next_track: u32,
}

/// Where the key of a KID is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KidRecord {
    pub place: KeyPlace,
    pub version: u32,
}

/// A policy, or what is left of it: its next version's number, so that none is ever used twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PolicyEntry {
    pub next_version: u64,
    pub current: Option<PolicyRecord>,
}

/// The devices of one viewer that play one content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leases {
    pub slots: Vec<LeaseSlot>,
    /// The second under which they are filed, to be forgotten.
    pub filed_s: u64,
}

/// A device that holds a slot until then: milliseconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseSlot {
    pub device: [u8; 16],
    pub until_ms: u64,
}

/// What the state remembers of a proposer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// The lowest serial whose answer is kept.
    pub floor: u64,
    /// When it was last heard of: how many clients had begun by then; below feature level 2 the proposer's
    /// clock, in milliseconds since 1970 UTC, which is always more.
    pub seen: u64,
}

/// The answers of a proposal whose client may still ask for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answers {
    pub responses: Vec<Response>,
}

/// The cluster as its first node founded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterIdentity {
    /// The cluster's name.
    pub cluster: String,
    /// A known value under the active master key: a keyring that cannot open it is not this
    /// cluster's.
    pub keyring_check: Wrapped,
    /// The features every member understands; raised on command only.
    pub feature_level: u32,
}

/// A node, as long as the cluster lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its id, which is never given to another.
    pub id: NodeId,
    /// What it says of itself.
    pub facts: NodeFacts,
    /// Whether it shall not vote, even when it has caught up.
    pub learner: bool,
    /// When it was admitted, or first described itself: milliseconds since 1970 UTC.
    pub admitted_at_ms: u64,
    /// When it was removed; none while it belongs to the cluster.
    pub removed_at_ms: Option<u64>,
}

/// A token that admits one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenRecord {
    /// Its public name.
    pub id: [u8; 8],
    /// Digest of its secret.
    pub secret_digest: [u8; 32],
    /// Until when it is good: milliseconds since 1970 UTC.
    pub expires_at_ms: u64,
    /// Whether the node it admits shall stay a learner.
    pub learner: bool,
    /// The zone that the node is in, whatever it says.
    pub zone: Option<String>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// The node it admitted.
    pub spent: Option<TokenSpent>,
}

/// What a token was spent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSpent {
    /// The node.
    pub node: NodeId,
    /// Digest of the node's public key.
    pub key_digest: [u8; 32],
}

/// The cluster's certificate authority, with which any member signs for a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRecord {
    /// Its certificate, PEM.
    pub certificate_pem: String,
    /// Its private key, PEM, wrapped.
    pub key: Wrapped,
}
