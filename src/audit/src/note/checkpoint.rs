//! Checkpoints: how long a log is, and its root, signed by it and by others who saw it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{LogKey, NoteError, NoteSignature, SignedNote, VerifierKey};
use crate::tree::Hash;

/// How long a log was, and its root then.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Which log: `CLUSTER.keymoot.audit/NODE/ID`.
    pub origin: String,
    /// How many events.
    pub size: u64,
    pub root: Hash,
}

/// Why a text is no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("this is no checkpoint: {0}")]
    Form(&'static str),
}

impl Checkpoint {
    /// Reads the text of a checkpoint's note.
    ///
    /// # Errors
    /// [`CheckpointError::Form`] when it is none.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Form("it has fewer than three lines"));
        };
        // Behind the end of the last line there is an empty one.
        if origin.is_empty() || lines.next_back() != Some("") {
            return Err(CheckpointError::Form("its first line is empty, or its last has no end"));
        }
        // Else several notes one after the other could be taken for one, or one for several.
        if origin.starts_with('\u{2014}') || lines.any(|more| more.is_empty() || more.starts_with('\u{2014}'))
        {
            return Err(CheckpointError::Form("one of its lines is empty or a signature"));
        }
        let digits =
            size.bytes().all(|byte| byte.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let parsed = size.parse().ok().filter(|_| digits);
        let size = parsed.ok_or(CheckpointError::Form("its second line is not the number of events"))?;
        let root = root.parse().map_err(|_| CheckpointError::Form("its third line is no hash"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

/// A checkpoint and who signed it. What is read from elsewhere is not verified until it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: SignedNote,
}

impl SignedCheckpoint {
    /// Signs a checkpoint with the key of its log.
    ///
    /// # Errors
    /// [`NoteError`] when the origin cannot stand in a note.
    pub fn sign(checkpoint: Checkpoint, key: &LogKey) -> Result<Self, NoteError> {
        let mut note = SignedNote::unsigned(checkpoint.to_string())?;
        note.add(key.sign(note.text()));
        Ok(Self { checkpoint, note })
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`CheckpointError`] when the text is none.
    pub fn parse(note: &str) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(note)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note })
    }

    /// Reads notes that stand one after the other, as files of checkpoints have them. Gives what is not readable, too,
    /// with the number of its first line.
    pub fn parse_all(text: &str) -> Vec<Result<Self, (usize, CheckpointError)>> {
        let (mut found, mut note, mut begins, mut signed) = (Vec::new(), String::new(), 1, false);
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            let is_signature = line.starts_with('\u{2014}');
            if signed && !is_signature {
                found.push(Self::parse(&std::mem::take(&mut note)).map_err(|error| (begins, error)));
                (begins, signed) = (number, false);
            }
            // Blank lines between notes belong to none.
            if note.is_empty() && line == "\n" {
                begins = number + 1;
                continue;
            }
            note.push_str(line);
            signed |= is_signature;
        }
        if !note.is_empty() {
            found.push(Self::parse(&note).map_err(|error| (begins, error)));
        }
        found
    }

    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Cosigns it with the key of another log.
    pub fn cosign(&self, key: &LogKey, time_s: u64) -> NoteSignature {
        key.cosign(self.note.text(), time_s)
    }

    /// Adds a signature, in place of one by the same key.
    pub fn add(&mut self, signature: NoteSignature) {
        self.note.add(signature);
    }

    /// Checks that the log signed it: by its key, for its origin.
    ///
    /// # Errors
    /// [`NoteError`] when it did not.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        match self.checkpoint.origin == key.name() {
            true => self.note.verify(key),
            false => Err(NoteError::NotSigned(key.name().to_owned())),
        }
    }

    /// Checks a cosignature, and gives its time: seconds since 1970 UTC.
    ///
    /// # Errors
    /// [`NoteError`] when there is none, or it does not hold.
    pub fn verify_cosignature(&self, key: &VerifierKey) -> Result<u64, NoteError> {
        self.note.verify_cosignature(key)
    }
}

impl fmt::Display for SignedCheckpoint {
    /// The note.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
