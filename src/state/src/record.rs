//! The records of the tables.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use keymoot_model::{KeyPath, KeyRecord, NodeId, PolicyRecord, Wrapped};

use super::command::NodeFacts;

use super::response::Response;

/// A track: its current key, which every read needs, and the number of the next version.
///
/// The record stays when the key is deleted, so that no version is ever used twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Track {
    pub next_version: u32,
    pub current: Option<KeyRecord>,
    /// The track's number within its content, once it rotates.
    pub number: Option<u16>,
}

/// The number of a content with rotating tracks, and the number of its next track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ContentNumber {
    pub number: u64,
    pub next_track: u32,
}

/// The place and version of the key with a KID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KidRecord {
    pub place: KeyPath,
    pub version: u32,
}

/// A policy and its next version number. The number stays when the policy is deleted, so that none is used
/// twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PolicyEntry {
    pub next_version: u64,
    pub current: Option<PolicyRecord>,
}

/// The devices of one viewer that play one content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leases {
    pub slots: Vec<LeaseSlot>,
    /// The second under which the record is indexed for deletion.
    pub filed_s: u64,
}

/// A device and the end of its slot: milliseconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseSlot {
    pub device: [u8; 16],
    pub until_ms: u64,
}

/// The session of a proposer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// The lowest serial whose answer is kept.
    pub floor: u64,
    /// Time of the client's last proposal: the number of clients started by then. Below feature level 2 it is
    /// the proposer's clock in milliseconds since 1970 UTC, which is always a larger number.
    pub seen: u64,
}

/// The answers of a proposal whose client may still ask for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answers {
    pub responses: Vec<Response>,
}

/// The identity of the cluster, from its founding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterIdentity {
    pub cluster: String,
    /// A known value wrapped under the active master key: a keyring that cannot open it belongs to another
    /// cluster.
    pub keyring_check: Wrapped,
    /// The feature level that every member understands; raised by command only.
    pub feature_level: u32,
}

/// A node; the record stays as long as the cluster exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The id, which is never assigned to another node.
    pub id: NodeId,
    pub facts: NodeFacts,
    /// Whether the node never votes, even when it has caught up.
    pub learner: bool,
    /// Time of admission, or of the first report of a founder: milliseconds since 1970 UTC.
    pub admitted_at_ms: u64,
    /// Time of removal; `None` while the node belongs to the cluster.
    pub removed_at_ms: Option<u64>,
}

/// The data directory of a node, as of a start. The record stays when the node is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolledDirectory {
    /// The fence under which it was enrolled: after a recovery or restore a node has another directory.
    pub fence: u64,
    /// The number that distinguishes the directory from every other of the node.
    pub incarnation: u128,
    /// The number of the start.
    pub start: u64,
    /// A random number that distinguishes the start from one of a copy.
    pub start_id: u64,
}

/// The key that a node proves itself with. The record stays when the node is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeKeyRecord {
    pub node: NodeId,
    /// SHA-256 of the public key in the node's certificate.
    pub digest: [u8; 32],
    /// Time of registration: milliseconds since 1970 UTC.
    pub registered_at_ms: u64,
    /// Time of the revocation of every certificate of the node; `None` while they are good.
    pub revoked_at_ms: Option<u64>,
    /// Whether the node is a witness: it votes, holds no master key, and never becomes another node.
    pub witness: bool,
}

/// A token that admits one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinTokenRecord {
    pub id: [u8; 8],
    /// Digest of the token's secret.
    pub secret_digest: [u8; 32],
    /// End of validity: milliseconds since 1970 UTC.
    pub expires_at_ms: u64,
    /// Whether the admitted node stays a learner.
    pub learner: bool,
    /// The zone of the node, which overrides the zone that the node reports.
    pub zone: Option<String>,
    pub revoked: bool,
    /// The admitted node.
    pub spent: Option<TokenSpent>,
}

impl JoinTokenRecord {
    /// No token lives for longer.
    pub const LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
}

/// The node that a token was spent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSpent {
    pub node: NodeId,
    /// Digest of the node's public key.
    pub key_digest: [u8; 32],
}

/// The cluster's certificate authority, with which any member signs certificates of new ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRecord {
    pub certificate_pem: String,
    /// The private key in PEM, wrapped.
    pub key: Wrapped,
}
