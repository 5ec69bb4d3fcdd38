//! A backup file being written. It has its name only once it is complete, on the disk, and was read back
//! and verified.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use keymoot_crypto::Keyring;

use super::error::BackupError;
use super::file::BackupFile;

/// The suffix of an unfinished file's name.
pub(super) const PART: &str = ".part";
/// A file is synced whenever so much more was written. A single sync of it all would hold up those of
/// the Raft log, if both are on one disk.
const SYNC_EVERY_BYTES: usize = 32 * 1024 * 1024;

/// A backup file being written, beside its place. Dropped unfinished, it is removed.
#[derive(Debug)]
pub struct BackupWriter {
    file: File,
    part: Part,
    path: PathBuf,
    unsynced_bytes: usize,
}

/// The unfinished file.
#[derive(Debug)]
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // After the rename there is nothing of this name any more.
        let _removed = fs::remove_file(&self.0);
    }
}

impl BackupWriter {
    /// Begins a file that becomes `path`; only its owner can access it.
    ///
    /// # Errors
    /// When `path` names no file, or nothing can be written beside it.
    pub fn begin(path: &Path) -> Result<Self, BackupError> {
        let name =
            path.file_name().ok_or_else(|| failed("make", path)(io::ErrorKind::InvalidInput.into()))?;
        let part = path.with_file_name(format!(".{}.{}{PART}", name.display(), std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = file.map_err(failed("make", &part))?;
        Ok(Self { file, part: Part(part), path: path.to_owned(), unsynced_bytes: 0 })
    }

    /// Appends to the file.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.file.write_all(bytes).map_err(failed("write", &self.part.0))?;
        self.unsynced_bytes = self.unsynced_bytes.saturating_add(bytes.len());
        if self.unsynced_bytes >= SYNC_EVERY_BYTES {
            self.file.sync_data().map_err(failed("sync", &self.part.0))?;
            self.unsynced_bytes = 0;
        }
        Ok(())
    }

    /// Syncs the file, reads it back and verifies it, and only then gives it its name. With `force` it
    /// replaces a file of that name. With a `keyring` its signature is checked, too, if it has one: a node
    /// of an earlier version makes none.
    ///
    /// # Errors
    /// When it cannot be synced, is not what was written, or must not be replaced.
    pub fn finish(self, force: bool, keyring: Option<&Keyring>) -> Result<BackupFile, BackupError> {
        let Self { file, part, path, .. } = self;
        file.sync_all().map_err(failed("sync", &part.0))?;
        let verified = BackupFile::open(&part.0)?;
        keyring.map(|keyring| verified.check_signature(keyring, true)).transpose()?;
        if !force && path.exists() {
            return Err(BackupError::Exists { path });
        }
        fs::rename(&part.0, &path).map_err(failed("make", &path))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(failed("sync", parent))?;
        Ok(verified)
    }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Write { verb, path, source }
}
