//! The proof that an event is in a log, as a file that needs nothing else but public keys.

use std::fmt;

use super::{CheckpointError, NoteError, SignedCheckpoint, VerifierKey};
use crate::tree::{Hash, ProofError, leaf_hash, verify_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that an event is in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// The number of the event.
    pub number: u64,
    pub hashes: Vec<Hash>,
    pub checkpoint: SignedCheckpoint,
}

/// Why a proof cannot be read, or does not hold.
#[derive(Debug, thiserror::Error)]
pub enum ProofFileError {
    #[error("this is no proof of the form {HEADER}: {0}")]
    Form(&'static str),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl ProofFile {
    /// The most hashes in a proof: the height of the largest tree.
    pub const HASHES_MAX: usize = 64;

    /// Reads one. Nothing is verified.
    ///
    /// # Errors
    /// [`ProofFileError`] when it is none.
    pub fn parse(text: &str) -> Result<Self, ProofFileError> {
        let Some((proof, note)) = text.split_once("\n\n") else {
            return Err(ProofFileError::Form("there is no blank line before its checkpoint"));
        };
        let mut lines = proof.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ProofFileError::Form("its first line is another one"));
        }
        let mut lines = lines.skip_while(|line| line.starts_with("extra "));
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let number = index.filter(|index| *index == "0" || !index.starts_with(['0', '+']));
        let number = number.and_then(|index| index.parse().ok());
        let number = number.ok_or(ProofFileError::Form("it does not say the number of the event"))?;
        let hashes: Result<Vec<Hash>, _> = lines.map(str::parse).collect();
        let hashes = hashes.map_err(|_| ProofFileError::Form("a line of it is no hash"))?;
        if hashes.len() > Self::HASHES_MAX {
            return Err(ProofFileError::Form("it has more hashes than a tree has levels"));
        }
        Ok(Self { number, hashes, checkpoint: SignedCheckpoint::parse(note)? })
    }

    /// Checks that the log whose key this is has these bytes as the event of this number.
    ///
    /// # Errors
    /// [`ProofFileError`] when that is not proved.
    pub fn verify(&self, event: &[u8], key: &VerifierKey) -> Result<(), ProofFileError> {
        self.checkpoint.verify(key)?;
        let tree = self.checkpoint.checkpoint();
        Ok(verify_inclusion(leaf_hash(event), self.number, tree.size, tree.root, &self.hashes)?)
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\nindex {}", self.number)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
