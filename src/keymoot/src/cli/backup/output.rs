//! Where a backup is written: a file, or standard output.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::failure;
use keymoot_cluster::backup::{BackupError, BackupFile, BackupWriter};
use keymoot_command::Failure;
use keymoot_crypto::Keyring;

/// A backup being written. Dropped unfinished, its file is removed.
pub(in crate::cli) enum Output {
    /// Somebody else's to keep.
    Stdout,
    File {
        writer: BackupWriter,
        force: bool,
    },
}

impl Output {
    /// Begins; `-` is standard output. A file that exists is refused without `force`.
    pub(in crate::cli) fn begin(path: &Path, force: bool) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        if path.file_name().is_none() {
            return Err(Failure::because("--output must name a file"));
        }
        if !force && path.exists() {
            return Err(refused(BackupError::Exists { path: path.to_owned() }));
        }
        Ok(Self::File { writer: BackupWriter::begin(path).map_err(refused)?, force })
    }

    pub(in crate::cli) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => io::stdout().write_all(bytes).map_err(lost),
            Self::File { writer, .. } => writer.write(bytes).map_err(refused),
        }
    }

    /// Completes it; returns the file, which was read back and verified, with the keyring if there is one.
    pub(in crate::cli) fn finish(self, keyring: Option<&Keyring>) -> Result<Option<BackupFile>, Failure> {
        match self {
            Self::Stdout => io::stdout().flush().map_err(lost).map(|()| None),
            Self::File { writer, force } => writer.finish(force, keyring).map_err(refused).map(Some),
        }
    }
}

fn refused(error: BackupError) -> Failure {
    let exists = matches!(error, BackupError::Exists { .. });
    let refused = failure(error);
    if exists { refused.hint("give another --output, or --force to replace it") } else { refused }
}

fn lost(source: io::Error) -> Failure {
    failure(BackupError::Write { verb: "write", path: PathBuf::from("standard output"), source })
}
