//! The mark of a data directory whose contents are not those of its cluster, so that no node ever starts from
//! it again.
//!
//! ```text
//! format = 1
//! index = 4711
//! term = 3
//! own = "<the digest that this node has>"
//! majority = "<the digest that the majority has>"
//! with_majority = [1, 2]
//! reason = "<all of it, and the way out>"
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::toml_file::TomlFile;

/// The name of the file.
pub(super) const FILE: &str = "diverged.toml";

/// The layout of the file that this build reads and writes.
const FORMAT: u32 = 1;

/// Why no node starts from a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Divergence {
    /// The index and the term of the entry after which it showed.
    pub index: u64,
    pub term: u64,
    /// The digest of the state in this directory; empty where none was compared.
    pub own: String,
    /// The digest that it should have; empty where none was compared.
    pub majority: String,
    /// The nodes that have that digest.
    pub with_majority: Vec<u64>,
    /// What happened, and the way out: this is what every later start says.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DivergenceFile {
    format: u32,
    index: u64,
    term: u64,
    own: String,
    majority: String,
    with_majority: Vec<u64>,
    reason: String,
}

impl TomlFile for DivergenceFile {
    const NAME: &'static str = FILE;
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn unreadable(path: PathBuf, why: String) -> StoreError {
        StoreError::DivergenceUnreadable { path, why }
    }
}

impl Divergence {
    /// The mark in the data directory `root`; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError::DivergenceUnreadable`] when the file does not parse, [`StoreError::NewerFormat`] when a
    /// newer version wrote it, or an I/O error.
    pub fn read(root: &Path) -> Result<Option<Self>, StoreError> {
        Ok(DivergenceFile::read(root)?.map(|file| {
            let DivergenceFile { index, term, own, majority, with_majority, reason, .. } = file;
            Self { index, term, own, majority, with_majority, reason }
        }))
    }

    /// Writes the mark, durably. The first one stays: later findings are consequences of it.
    pub(super) fn write(&self, root: &Path) -> Result<(), StoreError> {
        if root.join(FILE).exists() {
            return Ok(());
        }
        let Self { index, term, own, majority, with_majority, reason } = self.clone();
        DivergenceFile { format: FORMAT, index, term, own, majority, with_majority, reason }.write(root)
    }

    /// Refuses a marked directory. A mark that cannot be read refuses as well.
    pub(super) fn refuse(root: &Path) -> Result<(), StoreError> {
        match Self::read(root)? {
            None => Ok(()),
            Some(found) => Err(StoreError::Diverged { path: root.join(FILE), reason: found.reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Directory, Identity};

    #[test]
    fn a_marked_directory_is_refused_with_the_words_of_its_first_mark() {
        let home = tempfile::tempdir().unwrap();
        let identity = Identity { cluster: "west".to_owned(), node: 3, fence: 0 };
        let directory = Directory::open(home.path(), &identity).unwrap();
        let first = Divergence {
            index: 9,
            term: 2,
            own: "0a".to_owned(),
            majority: "0b".to_owned(),
            with_majority: vec![1, 2],
            reason: "it \"differs\"; salvage it".to_owned(),
        };
        directory.mark_diverged(&first).unwrap();
        directory.mark_diverged(&Divergence { index: 10, ..Divergence::default() }).unwrap();
        drop(directory);
        assert_eq!(Divergence::read(home.path()).unwrap(), Some(first.clone()));
        for _ in 0..2 {
            let error = Directory::open(home.path(), &identity).unwrap_err();
            assert!(matches!(error, StoreError::Diverged { .. }), "{error:?}");
            assert!(error.to_string().starts_with(&first.reason), "{error}");
        }
        fs::write(home.path().join(FILE), "format = 1\nindex =").unwrap();
        let error = Directory::open(home.path(), &identity).unwrap_err();
        assert!(matches!(error, StoreError::DivergenceUnreadable { .. }), "{error:?}");
    }
}
