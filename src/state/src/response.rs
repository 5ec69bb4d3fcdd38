//! What the state answers to a command. Variants are append-only.

use serde::{Deserialize, Serialize};

use keymoot_model::{KeyRecord, NodeId, PolicyRecord, SeedRecord, Wrapped};

use super::join_tokens::TokenRefusal;

/// The outcome of one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The proposed key was stored; the proposer has it already, so it does not travel back.
    Stored,
    /// The track had a key before; this is it.
    Existing(Box<KeyRecord>),
    /// The key was wrapped for a version that is not the track's next: wrap again for `next`.
    VersionMoved {
        /// The version to wrap for.
        next: u32,
    },
    /// The key id names this key already. Whether that is a repetition or a conflict depends on
    /// the key itself, which the state cannot open: the proposer compares.
    KidTaken(Box<KeyRecord>),
    /// So many versions were deleted.
    Deleted {
        /// How many; 0 when there was nothing to delete.
        versions: u32,
    },
    /// The command is done and there is nothing more to say.
    Done,
    /// What should have been new was there before, and stays as it was.
    Unchanged,
    /// The proposal was applied and answered before; its answer is forgotten.
    AnsweredBefore,
    /// The seed that holds, whoever proposed it.
    Seed(Box<SeedRecord>),
    /// The key of the cluster's derived key ids, whoever proposed it.
    KidKey(Wrapped),
    /// The cluster, the content or the track has used up the numbers that a derived key id can hold.
    NumbersExhausted,
    /// The policy as it is stored now, changed by the command or as it was.
    Policy(Box<PolicyRecord>),
    /// There is no policy of that name.
    NoPolicy,
    /// The policy is not in the state that the command demands.
    PolicyMoved {
        /// Its version; none when there is none of that name.
        version: Option<u64>,
    },
    /// The policy cannot be deleted: it is in use.
    PolicyInUse {
        /// How many contents it is attached to.
        contents: u64,
        /// Whether it is the account's default.
        is_default: bool,
    },
    /// The device holds a slot until then: milliseconds since 1970 UTC.
    Leased {
        /// When.
        until_ms: u64,
    },
    /// Other devices hold all slots.
    LeasesTaken {
        /// When the first of them ends: milliseconds since 1970 UTC.
        frees_at_ms: u64,
    },
    /// The rental, begun by the command or before.
    Rental {
        /// When it began: milliseconds since 1970 UTC.
        began_at_ms: u64,
    },
    /// The token was spent on the node, now or before.
    Admitted {
        /// The node's id.
        id: NodeId,
        /// Whether it shall stay a learner.
        learner: bool,
    },
    /// The token admits nobody.
    TokenRefused(TokenRefusal),
    /// The id that the node's certificate names was given before, or is no longer to be given.
    NodeIdTaken {
        /// The lowest id that can be given.
        next: NodeId,
    },
    /// The node was removed.
    NodeRemoved,
    /// There is no such node.
    NoNode,
    /// A member's program does not know the feature level.
    LevelUnknownTo {
        /// Which member.
        node: NodeId,
        /// The highest level it knows.
        level: u32,
    },
}
