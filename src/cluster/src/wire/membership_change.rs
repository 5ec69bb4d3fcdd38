//! A request for a membership change, and the plan that answers it.

use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A learner becomes a voter.
    Promote(NodeId),
    /// A voter becomes a learner, and remains one.
    Demote(NodeId),
    /// A member is removed for ever.
    Remove(NodeId),
    /// Another voter leads: this one, or the most suitable one.
    TransferLeader(Option<NodeId>),
    /// A member gets another address.
    Address(NodeId, String),
    /// An admitted node becomes a learner.
    AddLearner(NodeId, String),
}

/// A change, and how it is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    pub change: Change,
    /// Make the change even if the voters that are up would be no majority.
    pub force: bool,
    /// Only plan the change.
    pub dry_run: bool,
}

/// A member in the leader's view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    pub id: NodeId,
    pub voter: bool,
    /// Its zone; empty when none is configured.
    pub zone: String,
    /// The address on which peers reach it.
    pub peer_address: String,
    /// Whether the leader has heard of it recently.
    pub up: bool,
    /// The number of entries that it lacks.
    pub lag: u64,
}

/// The outcome that a change would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePlan {
    pub leader: NodeId,
    pub before: Vec<MemberState>,
    pub after: Vec<MemberState>,
    /// How many failed voters the cluster survives before the change.
    pub survives_before: usize,
    /// How many failed voters it survives after the change.
    pub survives_after: usize,
    /// Advice about the voters after the change.
    pub advice: Vec<String>,
    /// Whether the change is made.
    pub verdict: Verdict,
}

/// Whether a change is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The change can be made.
    Ready,
    /// The members are already as requested.
    Nothing(String),
    /// The change cannot be made, or is not allowed.
    Refused(String),
    /// The change is not allowed yet, but will be without intervention.
    NotYet(String),
    /// The voters that are up would be no majority; the change can be forced.
    Dangerous(String),
}
