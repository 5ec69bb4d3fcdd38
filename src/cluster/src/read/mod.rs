//! Linearizable reads: the read barrier of every node, and the read index from the leader.

pub(crate) mod barrier;
pub(crate) mod leader_contact;
pub(crate) mod read_index;
