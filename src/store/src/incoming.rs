//! A snapshot being received: a file that is either completed and verified, or removed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{SnapshotReader, StoreError, durable};

/// A snapshot file being received. It is removed when dropped unfinished.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    temporary: Temporary,
}

impl Incoming {
    pub(super) fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = durable::open_file(&path)?;
        file.set_len(0).map_err(StoreError::io("truncate", &path))?;
        Ok(Self { file, temporary: Temporary(path) })
    }

    /// Appends the next bytes of the snapshot.
    ///
    /// # Errors
    /// An I/O error, for example a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(StoreError::io("write", self.path()))
    }

    /// Verifies the received file, which exists as long as the returned reader.
    ///
    /// # Errors
    /// [`StoreError::Snapshot`] when it is not a whole and undamaged snapshot.
    pub fn finish(self) -> Result<SnapshotReader, StoreError> {
        Ok(SnapshotReader::open(self.path())?.owning(self.temporary))
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }
}

/// A file that is removed when its last user is dropped.
#[derive(Debug)]
pub(super) struct Temporary(PathBuf);

impl Temporary {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A file that stays behind is removed when the data directory is opened.
        let _removed = fs::remove_file(&self.0);
    }
}
