//! The Merkle tree over the events of a log, as RFC 6962 has it.
//!
//! A leaf is the bytes of an event as they are on disk. Complete subtrees never change once they are full, so a log
//! keeps their hashes for ever, also of events that it has deleted, and any proof is made of few of them.

mod frontier;
mod hash;
mod proof;
#[cfg(test)]
mod tests;

pub use frontier::Frontier;
pub use hash::{Hash, HashTextError, leaf_hash, node_hash};
pub use proof::{ProofError, verify_consistency, verify_inclusion};
pub(crate) use proof::{SubtreeHashes, consistency_proof, frontier, inclusion_proof, root};
