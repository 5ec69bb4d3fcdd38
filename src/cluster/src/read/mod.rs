//! Linearizable reads: the read barrier of every node, and the read index from the leader.

pub(crate) mod barrier;
pub(crate) mod read_index;
