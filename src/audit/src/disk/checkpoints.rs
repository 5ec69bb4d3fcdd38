//! The checkpoints that lie beside a log.
//!
//! ```text
//! checkpoint     the newest one that the log itself signed: of events that are on the disk
//! checkpoints    those that others cosigned, one after the other, oldest first
//! ```

use std::path::Path;

use crate::files::{self, FileError};
use crate::note::{CheckpointError, SignedCheckpoint};

const OWN: &str = "checkpoint";
const COSIGNED: &str = "checkpoints";
const OWN_BYTES_MAX: u64 = 1024 * 1024;
/// Of the cosigned ones; what is kept is far less.
const COSIGNED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How many cosigned checkpoints are kept at most. Beyond that every other one of the older half goes: each covers
/// all events before it, and older ones only tell better where a log departs from them.
const COSIGNED_MAX: usize = 512;

/// The newest checkpoint that the log signed.
pub(crate) fn read_own(log: &Path) -> Result<Option<Result<SignedCheckpoint, CheckpointError>>, FileError> {
    let text = files::read_text(&log.join(OWN), OWN_BYTES_MAX)?;
    Ok(text.map(|text| SignedCheckpoint::parse(&text)))
}

pub(crate) fn write_own(log: &Path, checkpoint: &SignedCheckpoint) -> Result<(), FileError> {
    files::write_file(&log.join(OWN), checkpoint.to_string().as_bytes())
}

/// A checkpoint of a file of several, or the line where it begins and why it cannot be read.
pub(crate) type ReadNote = Result<SignedCheckpoint, (usize, CheckpointError)>;

/// The cosigned checkpoints, and what among them cannot be read: the line where that begins, and why.
pub(crate) fn read_cosigned(log: &Path) -> Result<Vec<ReadNote>, FileError> {
    let text = files::read_text(&log.join(COSIGNED), COSIGNED_BYTES_MAX)?;
    Ok(text.map(|text| SignedCheckpoint::parse_all(&text)).unwrap_or_default())
}

/// Adds one that others cosigned, in place of an earlier one of the same size.
pub(crate) fn keep_cosigned(log: &Path, checkpoint: &SignedCheckpoint) -> Result<(), FileError> {
    let mut kept: Vec<_> = read_cosigned(log)?.into_iter().flatten().collect();
    kept.retain(|kept| kept.checkpoint() != checkpoint.checkpoint());
    kept.push(checkpoint.clone());
    kept.sort_by_key(|kept| kept.checkpoint().size);
    if kept.len() > COSIGNED_MAX {
        let older = kept.len() / 2;
        let mut number = 0_usize;
        kept.retain(|_| {
            number += 1;
            number > older || number.is_multiple_of(2)
        });
    }
    let text: String = kept.iter().map(|kept| format!("{kept}\n")).collect();
    files::write_file(&log.join(COSIGNED), text.as_bytes())
}
