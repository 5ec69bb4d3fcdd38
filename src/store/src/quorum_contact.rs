//! When the node of a data directory was last in contact with a quorum, so that a restart does not begin the count anew.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::toml_file::TomlFile;

/// The content of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuorumContact {
    format: u32,
    /// Seconds since 1970 UTC.
    at_s: u64,
}

impl TomlFile for QuorumContact {
    const NAME: &'static str = "quorum-contact.toml";
    const FORMAT: u32 = 1;

    fn format(&self) -> u32 {
        self.format
    }

    fn unreadable(path: PathBuf, why: String) -> StoreError {
        StoreError::QuorumContact { path, why }
    }
}

impl QuorumContact {
    /// The last contact that the data directory `root` has noted: seconds since 1970 UTC.
    ///
    /// # Errors
    /// [`StoreError`] when the file is there and cannot be read.
    pub fn last_s(root: &Path) -> Result<Option<u64>, StoreError> {
        Ok(Self::read(root)?.map(|file| file.at_s))
    }

    /// Notes a contact: seconds since 1970 UTC.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn note(root: &Path, at_s: u64) -> Result<(), StoreError> {
        Self { format: Self::FORMAT, at_s }.write(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_contact_is_read_back_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(QuorumContact::last_s(dir.path()).unwrap(), None);
        QuorumContact::note(dir.path(), 7).unwrap();
        QuorumContact::note(dir.path(), 9).unwrap();
        assert_eq!(QuorumContact::last_s(dir.path()).unwrap(), Some(9));
        std::fs::write(dir.path().join("quorum-contact.toml"), "format = 1\nat_s = \"x\"\n").unwrap();
        let said = QuorumContact::last_s(dir.path()).unwrap_err().to_string();
        assert!(said.contains("quorum-contact.toml"), "{said}");
    }
}
