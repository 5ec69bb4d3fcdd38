//! Linearizable reads: the read barrier of every node, and the read index that the leader gives.

pub(crate) mod barrier;
pub(crate) mod read_index;
