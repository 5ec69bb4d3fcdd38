//! What a node reports of itself to its peers, every few seconds.

use serde::{Deserialize, Serialize};

use keymoot_store::{LogPosition, StoredVote};

/// A node's report of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeReport {
    /// The last vote that is on its disk.
    pub vote: Option<StoredVote>,
    /// The last entry that is on its disk and known to be committed.
    pub held: Option<LogPosition>,
    /// Digests of its state after some of the last applied entries, the latest last.
    pub digests: Vec<StateDigest>,
}

/// The digest of a state after an entry. Equal on every node, or the nodes have diverged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateDigest {
    /// The last applied entry.
    pub at: LogPosition,
    /// The number of [`keymoot_state::Digest`].
    pub digest: u128,
}
