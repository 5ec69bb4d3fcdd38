//! Files and directories that survive a power cut, and are private from the start.
//!
//! A new name is durable only once its directory is synced; a file is replaced by writing a new one beside
//! it, syncing that, renaming it over the old one and syncing the directory.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::StoreError;

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Creates `path` and its missing parents, accessible by the owner only.
pub(super) fn create_directory(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .map_err(StoreError::io("create", path))?;
    // The directory may have been made by hand, with the usual looser mode.
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))
        .map_err(StoreError::io("restrict", path))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Opens `path` for reading and writing; creates it, accessible by the owner only, when it is missing.
pub(super) fn open_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(StoreError::io("open", path))
}

/// Replaces the content of `path` by `bytes`. After a crash at any point the file holds either its old
/// content or all of `bytes`.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let beside = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&beside)
        .map_err(StoreError::io("create", &beside))?;
    file.write_all(bytes).map_err(StoreError::io("write", &beside))?;
    file.sync_all().map_err(StoreError::io("sync", &beside))?;
    rename(&beside, path)
}

/// Renames `from` to `to` in the same directory, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(StoreError::io("rename", from))?;
    to.parent().map_or(Ok(()), sync_directory)
}

/// Makes created, renamed and removed names in `path` durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    // The parent of a bare relative name is the empty path.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|directory| directory.sync_all()).map_err(StoreError::io("sync", path))
}

/// Removes a directory and all in it; a missing directory is not an error.
pub(super) fn remove_directory(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_private() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a/b");
        create_directory(&directory).unwrap();
        write_file(&directory.join("f"), b"x").unwrap();
        open_file(&directory.join("g")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&home.path().join("a")), 0o700);
        assert_eq!(mode(&directory.join("f")), 0o600);
        assert_eq!(mode(&directory.join("g")), 0o600);
    }

    #[test]
    fn a_directory_made_by_hand_becomes_private() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        create_directory(home.path()).unwrap();
        assert_eq!(fs::metadata(home.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("CURRENT");
        write_file(&file, b"a long first text").unwrap();
        write_file(&file, b"short").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"short");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
