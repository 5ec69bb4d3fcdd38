//! A proposal that a quorum has, and every node applies.

use keymoot_state::Response;

/// The state's answers to a proposal, or to a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// One for each command, in their order.
    pub responses: Vec<Response>,
    /// Where the proposal is in Raft's log; `None` when a leader of an earlier version answered.
    pub log_index: Option<u64>,
}
