//! Files that hold a secret: Keymoot refuses them unless only their owner can read them.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::RigError;

/// Writes a file that only its owner can read, replacing an existing one.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), RigError> {
    let opened = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(RigError::at("write", path))
}
