//! Linearizable reads: the read barrier of every node, and the read index that the leader gives.

pub mod barrier;
pub mod read_index;
