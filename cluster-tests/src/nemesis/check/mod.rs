//! The promises that a run must keep: one kind per file, as functions of the recorded events.

pub mod answers;
pub mod digests;
pub mod linear;
pub mod uniqueness;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The checker that found it.
    pub checker: &'static str,
    /// A description of the violation.
    pub text: String,
}

/// Each key's history is that of one register.
pub const LINEARIZABILITY: &str = "linearizability";
/// Acknowledged keys are there, on every node.
pub const LOST: &str = "nothing_lost";
/// No key id and no key is used twice.
pub const UNIQUENESS: &str = "uniqueness";
/// Valid requests get no answer but theirs or 503.
pub const ANSWERS: &str = "answers";
/// Nodes at the same index have the same state.
pub const DIGESTS: &str = "digests";
/// Every node serves soon after the last fault is healed.
pub const LIVENESS: &str = "liveness";
/// A node ends by itself when it must, and only then.
pub const ENDS: &str = "ends";

/// All checkers, in the order of the report.
pub const ALL: [&str; 7] = [LINEARIZABILITY, LOST, UNIQUENESS, ANSWERS, DIGESTS, LIVENESS, ENDS];
