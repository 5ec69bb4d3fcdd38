//! Notes that are put together again from what a cluster keeps of them: sizes, roots and the bytes of signatures.

use super::{Checkpoint, NoteError, NoteSignature, SignedCheckpoint, SignedNote, VerifierKey};

impl SignedCheckpoint {
    /// A checkpoint to which signatures are added.
    ///
    /// # Errors
    /// [`NoteError`] when the origin cannot stand in a note.
    pub fn unsigned(checkpoint: Checkpoint) -> Result<Self, NoteError> {
        let note = SignedNote::unsigned(checkpoint.to_string())?;
        Ok(Self { checkpoint, note })
    }
}

impl VerifierKey {
    /// The signature of the log itself with these bytes. Whether it holds is to be verified.
    pub fn note_signature(&self, signature: &[u8]) -> NoteSignature {
        let (name, key_id) = (self.name().to_owned(), self.note_id());
        NoteSignature { name, key_id, signature: signature.to_vec() }
    }

    /// The cosignature of another log's checkpoint that was made at this time, with these bytes. Whether it holds is
    /// to be verified.
    pub fn cosignature(&self, time_s: u64, signature: &[u8]) -> NoteSignature {
        let signature = [time_s.to_be_bytes().as_slice(), signature].concat();
        NoteSignature { name: self.name().to_owned(), key_id: self.cosignature_id(), signature }
    }
}
