//! The proof that an event is in a log, from its files.

use std::path::Path;

use bytes::Bytes;

use crate::disk::checkpoints;
use crate::disk::manifest::Manifest;
use crate::files::FileError;
use crate::hashes::HashFiles;
use crate::segment::{Index, SegmentFault, SegmentHeader, SegmentReader, events_path, list};
use crate::tree::{self, ProofError, leaf_hash, verify_inclusion};
use crate::{CheckpointError, ProofFile, SignedCheckpoint};

/// An event, and the proof that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proved {
    pub event: Bytes,
    pub proof: ProofFile,
}

/// Why an event cannot be proved.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the log's checkpoint cannot be read")]
    Checkpoint(#[from] CheckpointError),
    /// The event is not signed yet, or there is none.
    #[error("event {number} is not covered by a checkpoint: the log's newest covers {signed} events")]
    NotSigned { number: u64, signed: u64 },
    /// It was deleted, after its time.
    #[error("event {number} was deleted: the log keeps those from {first_kept} on")]
    Deleted { number: u64, first_kept: u64 },
    #[error("event {number} cannot be read from {file}")]
    Read { number: u64, file: String, source: SegmentFault },
    #[error("event {number} is not in the file where it should be")]
    NotFound { number: u64 },
    #[error("the event cannot be proved; run keymoot audit verify")]
    Proof(#[from] ProofError),
}

/// Proves that an event is in the log in this directory: under the newest checkpoint that others cosigned, if that
/// covers it, else under the log's own.
///
/// # Errors
/// [`ProveError`] when it is not, or is not signed yet, or the log is damaged.
pub fn prove(dir: &Path, number: u64) -> Result<Proved, ProveError> {
    let missing = || FileError::new("find a log in", dir)(std::io::ErrorKind::NotFound.into());
    let manifest = Manifest::read(dir)?.ok_or_else(missing)?;
    let checkpoint = covering(dir, number)?;
    let event = event(dir, manifest.log_id(), number)?;
    let tree = checkpoint.checkpoint();
    let hashes = tree::inclusion_proof(&HashFiles::open_to_read(dir)?, number, tree.size)?;
    // What does not hold is not handed out.
    verify_inclusion(leaf_hash(&event), number, tree.size, tree.root, &hashes)?;
    Ok(Proved { event, proof: ProofFile { number, hashes, checkpoint } })
}

fn covering(dir: &Path, number: u64) -> Result<SignedCheckpoint, ProveError> {
    let own = checkpoints::read_own(dir)?.transpose()?;
    let signed = own.as_ref().map_or(0, |own| own.checkpoint().size);
    let covers =
        |found: &SignedCheckpoint| found.checkpoint().size > number && found.checkpoint().size <= signed;
    let cosigned = checkpoints::read_cosigned(dir)?.into_iter().flatten().rfind(covers);
    cosigned.or_else(|| own.filter(covers)).ok_or(ProveError::NotSigned { number, signed })
}

/// An event as it is on disk.
fn event(dir: &Path, log_id: u64, number: u64) -> Result<Bytes, ProveError> {
    let firsts = list(dir)?;
    let first_kept = firsts.first().copied().unwrap_or(0);
    let first = firsts.iter().rev().find(|first| **first <= number);
    let first = *first.ok_or(ProveError::Deleted { number, first_kept })?;
    let path = events_path(dir, first);
    let failed = |source| {
        let file = path.display().to_string();
        ProveError::Read { number, file, source }
    };
    let block = Index::read(dir, first)?.and_then(|index| index.block_of(number));
    let mut reader = match block {
        Some(block) => SegmentReader::open_at(dir, first, block, u64::MAX),
        None => SegmentReader::open(dir, SegmentHeader { first, log_id }, u64::MAX),
    }
    .map_err(failed)?;
    while let Some((found, bytes)) = reader.next_event().map_err(failed)? {
        if found == number {
            return Ok(bytes);
        }
    }
    Err(ProveError::NotFound { number })
}
