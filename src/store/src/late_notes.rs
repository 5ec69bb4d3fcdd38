//! What a node that is cut off has answered and could not have replicated yet: bytes that its next start must find.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{StoreError, durable};

/// The name of the file in the data directory.
const NAME: &str = "late-notes";

/// Replaces what is kept in the data directory `root`, durably; nothing is kept of no bytes.
///
/// # Errors
/// [`StoreError`] when the file cannot be written.
pub fn keep_late_notes(root: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let path = root.join(NAME);
    if bytes.is_empty() && !path.exists() {
        return Ok(());
    }
    durable::write_file(&path, bytes)
}

/// What is kept in the data directory `root`.
///
/// # Errors
/// [`StoreError`] when the file is there and cannot be read.
pub fn kept_late_notes(root: &Path) -> Result<Vec<u8>, StoreError> {
    let path = root.join(NAME);
    match fs::read(&path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("read", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_until_nothing_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert!(kept_late_notes(dir.path()).unwrap().is_empty());
        keep_late_notes(dir.path(), b"").unwrap();
        assert!(!dir.path().join(NAME).exists());
        keep_late_notes(dir.path(), b"notes").unwrap();
        assert_eq!(kept_late_notes(dir.path()).unwrap(), b"notes");
        keep_late_notes(dir.path(), b"").unwrap();
        assert!(kept_late_notes(dir.path()).unwrap().is_empty());
    }
}
