//! The answers of the state to commands. Variants are append-only.

use serde::{Deserialize, Serialize};

use keymoot_model::{KeyRecord, NodeId, PolicyRecord, SeedRecord, Wrapped};

use super::accounts::AccountRefusal;
use super::approvals::{ApprovalRecord, ApprovalRefusal};
use super::audit_logs::AuditLogRefusal;
use super::documents::{DocumentKeyRecord, DocumentRefusal};
use super::join_tokens::TokenRefusal;
use super::operators::OperatorRefusal;

/// The outcome of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The proposed key was stored; the proposer has it already, so it is not sent back.
    Stored,
    /// The track already has this key.
    Existing(Box<KeyRecord>),
    /// The key was wrapped for a version that is not the track's next: wrap again for `next`.
    VersionMoved {
        /// The version to wrap for.
        next: u32,
    },
    /// The key id already belongs to this key. Only the key itself shows whether that is a retry or a
    /// conflict, and the state cannot open it: the proposer compares.
    KidTaken(Box<KeyRecord>),
    /// Versions were deleted.
    Deleted {
        /// The number of deleted versions; 0 when there was nothing to delete.
        versions: u32,
    },
    /// The command is done.
    Done,
    /// The command changed nothing: the state was already as it asks, or no longer as it expects.
    Unchanged,
    /// The proposal was applied and answered before; its answers are no longer kept.
    AnsweredBefore,
    /// The current seed, whichever proposal stored it.
    Seed(Box<SeedRecord>),
    /// The key of the cluster's derived key ids, whichever proposal stored it.
    KidKey(Wrapped),
    /// The cluster, the content or the track has used up the numbers that a derived key id can hold.
    NumbersExhausted,
    /// The policy as stored now, changed by the command or not.
    Policy(Box<PolicyRecord>),
    /// There is no policy of that name.
    NoPolicy,
    /// The stored policy does not meet the command's condition.
    PolicyMoved {
        /// The stored version; `None` when no policy of that name is stored.
        version: Option<u64>,
    },
    /// The policy cannot be deleted: it is in use.
    PolicyInUse {
        /// The number of contents that it is attached to.
        contents: u64,
        /// Whether it is the account's default.
        is_default: bool,
    },
    /// The device holds a slot until `until_ms`: milliseconds since 1970 UTC.
    Leased { until_ms: u64 },
    /// Other devices hold all slots.
    LeasesTaken {
        /// End of the first of these slots: milliseconds since 1970 UTC.
        frees_at_ms: u64,
    },
    /// The rental, started by this command or earlier.
    Rental {
        /// Start of the rental: milliseconds since 1970 UTC.
        began_at_ms: u64,
    },
    /// The token was spent on the node, now or earlier.
    Admitted {
        id: NodeId,
        /// Whether the node stays a learner.
        learner: bool,
    },
    /// The token does not admit the node.
    TokenRefused(TokenRefusal),
    /// The id in the node's certificate was assigned before, or is too low to be assigned.
    NodeIdTaken {
        /// The lowest id that can be assigned.
        next: NodeId,
    },
    /// The node was removed.
    NodeRemoved,
    /// There is no such node.
    NoNode,
    /// A member's program does not know the feature level.
    LevelUnknownTo {
        node: NodeId,
        /// The highest level that the member knows.
        level: u32,
    },
    /// The node is enrolled with another data directory, or with a start that is not before this one.
    OtherDirectory,
    /// The account or its credential is not changed.
    AccountRefused(AccountRefusal),
    /// The node's certificates were revoked, so it gets no other one.
    CertificateRevoked,
    /// The change of the operators was not made.
    OperatorRefused(OperatorRefusal),
    /// The approval as it stands now.
    Approval(Box<ApprovalRecord>),
    /// It waits for a second person, or the approval was not given.
    ApprovalRefused(ApprovalRefusal),
    /// The record of an audit log is not changed.
    AuditLogRefused(AuditLogRefusal),
    /// A document gave the track, or the key id, this key.
    DocumentKey(Box<DocumentKeyRecord>),
    /// What documents made is not changed.
    DocumentRefused(Box<DocumentRefusal>),
}
