//! Signed notes, checkpoints, cosignatures and proofs as text, as the specifications at c2sp.org have them.
//!
//! The formats are a page each, and what is here reads and writes no more than a log needs. A library would bring a
//! second implementation of Ed25519 beside the one that everything else here signs with.

mod checkpoint;
mod kept;
mod key;
mod proof_file;
mod signed;
#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use key::{KeyTextError, LogKey, VerifierKey};
pub use proof_file::{ProofFile, ProofFileError};
pub use signed::{NoteError, NoteSignature, SignedNote};
