//! The small TOML files of a data directory: read whole or refused, and replaced durably.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StoreError, durable};

/// The content of one of the files, as it is written.
pub(super) trait TomlFile: Serialize + DeserializeOwned {
    /// The name of the file in the data directory.
    const NAME: &'static str;
    /// The layout that this build writes, and the newest that it reads.
    const FORMAT: u32;

    /// The layout that the file was written with.
    fn format(&self) -> u32;

    /// The error that says that the file at `path` does not have the expected content.
    fn unreadable(path: PathBuf, why: String) -> StoreError;

    /// The file in the data directory `root`; `None` when there is none.
    ///
    /// # Errors
    /// [`Self::unreadable`] when the file does not parse, [`StoreError::NewerFormat`] when a newer version
    /// wrote it, or an I/O error.
    fn read(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(Self::NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(Self::unreadable(path, error.to_string()));
            }
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let file: Self = match toml::from_str(&text) {
            Ok(file) => file,
            Err(error) => return Err(Self::unreadable(path, error.message().to_owned())),
        };
        if file.format() > Self::FORMAT {
            return Err(StoreError::NewerFormat { path, found: file.format(), known: Self::FORMAT });
        }
        Ok(Some(file))
    }

    /// Writes the file in the data directory `root`, or replaces it.
    fn write(&self, root: &Path) -> Result<(), StoreError> {
        let path = root.join(Self::NAME);
        match toml::to_string(self) {
            Ok(text) => durable::write_file(&path, text.as_bytes()),
            Err(error) => Err(Self::unreadable(path, error.to_string())),
        }
    }
}
