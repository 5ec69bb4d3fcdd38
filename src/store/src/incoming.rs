//! A snapshot on its way in: a file that is either completed and verified, or gone.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{SnapshotReader, StoreError, durable};

/// A snapshot file being received. Dropped unfinished, it is removed.
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
    /// An I/O error, a full disk among them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(StoreError::io("write", self.path()))
    }

    /// Verifies what was received. The file lives as long as the reader.
    ///
    /// # Errors
    /// [`StoreError::Snapshot`] when it is not a whole and undamaged snapshot.
    pub fn finish(self) -> Result<SnapshotReader, StoreError> {
        Ok(SnapshotReader::open(self.path())?.owning(self.temporary))
    }

    /// Where the bytes are.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }
}

/// A file that is removed with its last user.
#[derive(Debug)]
pub(super) struct Temporary(PathBuf);

impl Temporary {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What stays behind is swept when the data directory is opened.
        let _removed = fs::remove_file(&self.0);
    }
}
