//! What a log's directory says of itself, and its key.
//!
//! ```text
//! log.json      which log it is; written last when one begins, so a directory without it holds none
//! key           the private key, as a note's signer is written; mode 0600
//! public-key    the public one, as a note's verifier is written
//! ```

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};
use crate::note::LogKey;
use crate::{LogIdentity, Predecessor, VerifierKey};

const MANIFEST: &str = "log.json";
const KEY: &str = "key";
const PUBLIC_KEY: &str = "public-key";
const BYTES_MAX: u64 = 64 * 1024;
/// The layout of the directory that this build reads and writes.
const FORMAT: u32 = 1;

/// Which log a directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    pub(crate) identity: LogIdentity,
    /// The random id of the log.
    log_id: String,
    /// When it began, in milliseconds since 1970 UTC.
    pub(crate) begun_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predecessor: Option<Predecessor>,
}

fn invalid(path: &Path, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FileError {
    FileError::new("use", path)(io::Error::new(ErrorKind::InvalidData, why))
}

impl Manifest {
    pub(crate) fn new(
        identity: LogIdentity,
        log_id: u64,
        begun_ms: u64,
        predecessor: Option<Predecessor>,
    ) -> Self {
        Self { format: FORMAT, identity, log_id: format!("{log_id:016x}"), begun_ms, predecessor }
    }

    /// Reads that of a directory; `None` when it holds no log.
    pub(crate) fn read(log: &Path) -> Result<Option<Self>, FileError> {
        let path = log.join(MANIFEST);
        let Some(text) = files::read_text(&path, BYTES_MAX)? else { return Ok(None) };
        let found: Self = serde_json::from_str(&text).map_err(|error| invalid(&path, error))?;
        if found.format != FORMAT {
            return Err(invalid(
                &path,
                format!("its format is {}, and this version reads {FORMAT}", found.format),
            ));
        }
        match u64::from_str_radix(&found.log_id, 16).is_ok() && found.log_id.len() == 16 {
            true => Ok(Some(found)),
            false => Err(invalid(&path, "its id is not 16 hexadecimal digits")),
        }
    }

    pub(crate) fn write(&self, log: &Path) -> Result<(), FileError> {
        let path = log.join(MANIFEST);
        let text = serde_json::to_string_pretty(self).map_err(|error| invalid(&path, error))?;
        files::write_file(&path, format!("{text}\n").as_bytes())
    }

    pub(crate) fn log_id(&self) -> u64 {
        // Read and made as such.
        u64::from_str_radix(&self.log_id, 16).unwrap_or(0)
    }

    pub(crate) fn origin(&self) -> String {
        self.identity.origin(self.log_id())
    }
}

/// Makes the key of a new log.
pub(crate) fn make_key(log: &Path, origin: &str) -> Result<LogKey, FileError> {
    let path = log.join(KEY);
    let (key, text) = LogKey::generate(origin).map_err(|error| invalid(&path, error))?;
    files::write_file(&path, format!("{}\n", text.as_str()).as_bytes())?;
    files::write_file(&log.join(PUBLIC_KEY), format!("{}\n", key.verifier()).as_bytes())?;
    Ok(key)
}

/// Reads the key of a log.
pub(crate) fn read_key(log: &Path, origin: &str) -> Result<LogKey, FileError> {
    let path = log.join(KEY);
    let mode = fs::metadata(&path).map_err(FileError::new("read", &path))?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let shown = path.display();
        let why =
            format!("it has mode {mode:04o}: others than its owner can reach it; run `chmod 600 {shown}`");
        return Err(invalid(&path, why));
    }
    let text = fs::read_to_string(&path).map_err(FileError::new("read", &path))?;
    let text = zeroize::Zeroizing::new(text);
    let key = LogKey::read(&text).map_err(|error| invalid(&path, error))?;
    match key.verifier().name() == origin {
        true => Ok(key),
        false => Err(invalid(&path, format!("it is the key of {}, not of {origin}", key.verifier().name()))),
    }
}

/// Reads the public key that lies beside a log.
pub(crate) fn read_public_key(log: &Path) -> Result<VerifierKey, FileError> {
    let path = log.join(PUBLIC_KEY);
    let text = files::read_text(&path, BYTES_MAX)?;
    let text = text.ok_or_else(|| FileError::new("read", &path)(ErrorKind::NotFound.into()))?;
    text.trim_end().parse().map_err(|error| invalid(&path, error))
}
