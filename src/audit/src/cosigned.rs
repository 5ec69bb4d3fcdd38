//! The last checkpoint of each other log that this node has cosigned, in a file that is on the disk before the
//! signature leaves: so that a node which was stopped in between never signs what contradicts it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::{self, FileError};
use crate::note::{Checkpoint, SignedCheckpoint};

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CosignedError {
    #[error("{}", .0.in_words())]
    File(#[from] FileError),
    /// It is not what this node writes.
    #[error("{} cannot be read from line {line} on: {why}", path.display())]
    Unreadable { path: PathBuf, line: usize, why: String },
    /// What is to be remembered contradicts what is remembered.
    #[error("{origin} was cosigned at {before} events, and is not cosigned at {now} again")]
    Shrinks { origin: String, before: u64, now: u64 },
}

/// What was cosigned last of each other log.
#[derive(Debug)]
pub struct Cosigned {
    path: PathBuf,
    last: BTreeMap<String, SignedCheckpoint>,
}

impl Cosigned {
    /// The file, in the directory of the node's own log. It holds notes, one after the other.
    pub const FILE: &str = "cosigned";

    /// Reads the file of this directory; without one, nothing was cosigned.
    ///
    /// # Errors
    /// [`CosignedError`] when it is there and cannot be read whole.
    pub fn open(dir: &Path) -> Result<Self, CosignedError> {
        let path = dir.join(Self::FILE);
        let text = files::read_text(&path, u64::MAX)?.unwrap_or_default();
        let mut last = BTreeMap::new();
        for read in SignedCheckpoint::parse_all(&text) {
            let note = read.map_err(|(line, error)| {
                let (path, why) = (path.clone(), error.to_string());
                CosignedError::Unreadable { path, line, why }
            })?;
            last.insert(note.checkpoint().origin.clone(), note);
        }
        Ok(Self { path, last })
    }

    /// What was cosigned last of the log of this origin.
    pub fn last(&self, origin: &str) -> Option<&Checkpoint> {
        self.last.get(origin).map(SignedCheckpoint::checkpoint)
    }

    /// Remembers a checkpoint with this node's cosignature, which may leave once this returns.
    ///
    /// # Errors
    /// [`CosignedError`]; then it must not leave.
    pub fn remember(&mut self, note: SignedCheckpoint) -> Result<(), CosignedError> {
        let now = note.checkpoint();
        if let Some(before) = self.last(&now.origin)
            && (now.size < before.size || (now.size == before.size && now.root != before.root))
        {
            let (origin, before, now) = (now.origin.clone(), before.size, now.size);
            return Err(CosignedError::Shrinks { origin, before, now });
        }
        let replaced = self.last.insert(note.checkpoint().origin.clone(), note.clone());
        let written = self.write();
        if written.is_err() {
            // What is not on the disk was not signed.
            let origin = note.checkpoint().origin.clone();
            match replaced {
                Some(before) => self.last.insert(origin, before),
                None => self.last.remove(&origin),
            };
        }
        written
    }

    fn write(&self) -> Result<(), CosignedError> {
        let text: String = self.last.values().map(ToString::to_string).collect();
        Ok(files::write_file(&self.path, text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::note::LogKey;
    use crate::tree::Hash;

    fn note(origin: &str, size: u64, root: u8) -> SignedCheckpoint {
        let key = LogKey::generate(origin).unwrap().0;
        let cosigner = LogKey::generate("own").unwrap().0;
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root: Hash::from_bytes([root; 32]) };
        let mut note = SignedCheckpoint::sign(checkpoint, &key).unwrap();
        note.add(note.cosign(&cosigner, 7));
        note
    }

    #[test]
    fn the_last_of_each_log_is_read_back_and_nothing_before_it_is_signed_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut cosigned = Cosigned::open(dir.path()).unwrap();
        assert!(cosigned.last("a").is_none());
        cosigned.remember(note("a", 3, 1)).unwrap();
        cosigned.remember(note("b", 5, 1)).unwrap();
        cosigned.remember(note("a", 7, 2)).unwrap();
        cosigned.remember(note("a", 7, 2)).unwrap();
        for (size, root) in [(6, 2), (7, 3)] {
            let refused = cosigned.remember(note("a", size, root)).unwrap_err();
            assert!(matches!(refused, CosignedError::Shrinks { before: 7, .. }), "{refused}");
        }
        let again = Cosigned::open(dir.path()).unwrap();
        assert_eq!(again.last("a").map(|at| (at.size, at.root)), Some((7, Hash::from_bytes([2; 32]))));
        assert_eq!(again.last("b").map(|at| at.size), Some(5));
    }

    #[test]
    fn a_file_that_cannot_be_read_or_written_is_no_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(Cosigned::FILE);
        fs::write(&path, format!("{}rubbish\n", note("a", 3, 1))).unwrap();
        let refused = Cosigned::open(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("cosigned cannot be read from line"), "{refused}");
        fs::remove_file(&path).unwrap();
        let mut cosigned = Cosigned::open(dir.path()).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(cosigned.remember(note("a", 3, 1)).is_err());
        assert!(cosigned.last("a").is_none());
    }
}
