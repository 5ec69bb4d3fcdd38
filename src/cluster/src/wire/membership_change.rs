//! A change of the members as it is asked for, and the plan that answers.

use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A learner becomes a voter.
    Promote(NodeId),
    /// A voter becomes a learner, and stays one.
    Demote(NodeId),
    /// A member leaves for ever.
    Remove(NodeId),
    /// Another voter leads: this one, or the one that is best placed.
    TransferLeader(Option<NodeId>),
    /// A member is reached elsewhere.
    Address(NodeId, String),
    /// An admitted node replicates.
    AddLearner(NodeId, String),
}

/// A change, and how it is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// What.
    pub change: Change,
    /// Although the voters that are up would be no majority.
    pub force: bool,
    /// Only say what would be.
    pub dry_run: bool,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    /// Its id.
    pub id: NodeId,
    /// Whether it votes.
    pub voter: bool,
    /// Its zone; empty when nobody said.
    pub zone: String,
    /// Where peers reach it.
    pub peer_address: String,
    /// Whether the leader heard of it lately.
    pub up: bool,
    /// How many entries it lacks.
    pub lag: u64,
}

/// What a change would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangePlan {
    /// Who leads now.
    pub leader: NodeId,
    /// The members now.
    pub before: Vec<MemberState>,
    /// The members then.
    pub after: Vec<MemberState>,
    /// How many failed voters the cluster survives now.
    pub survives_before: usize,
    /// How many it survives then.
    pub survives_after: usize,
    /// What could be better then.
    pub advice: Vec<String>,
    /// How it comes out.
    pub verdict: Verdict,
}

/// Whether a change is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It can be.
    Ready,
    /// It is as asked already.
    Nothing(String),
    /// It cannot be, or must not.
    Refused(String),
    /// It must not be yet; time mends that.
    NotYet(String),
    /// It would leave no majority of voters that are up; it can be forced.
    Dangerous(String),
}
