//! Reading the events and proofs of a log.

use std::path::Path;

use bytes::Bytes;

use crate::ReadError;
use crate::segment::{Block, Index, SegmentFault, SegmentHeader, SegmentReader, events_path};
use crate::tree::{self, Frontier, Hash, ProofError};

use super::{DiskLog, Hashes, lock};

/// How many bytes of events are read at once at most, beyond the first event.
pub(super) const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A segment, as far as it can be read now.
#[derive(Clone, Debug)]
pub(super) struct Readable {
    pub(super) first: u64,
    /// The number after its last event.
    pub(super) end: u64,
    pub(super) bytes: u64,
    /// Whether it has an index on disk.
    pub(super) is_indexed: bool,
    /// Its blocks, as far as they are known without the index.
    pub(super) blocks: Vec<Block>,
    pub(super) times: (u64, u64),
}

impl Readable {
    /// Where the block begins in which the event of this number is, without an index.
    pub(super) fn block_of(&self, number: u64) -> Block {
        let start = Block { number: self.first, offset: SegmentHeader::BYTES as u64 };
        let after = self.blocks.partition_point(|block| block.number <= number);
        after.checked_sub(1).and_then(|at| self.blocks.get(at)).copied().unwrap_or(start)
    }
}

/// The segments of a log in order, to be read.
pub(crate) struct Segments<'l> {
    pub(super) dir: &'l Path,
    pub(super) all: Vec<Readable>,
}

impl DiskLog {
    /// All segments in order.
    pub(crate) fn segments(&self) -> Segments<'_> {
        // The one that is written to first: it may become one of the others meanwhile, and would be missed else.
        let active = lock(&self.active);
        let sealed = lock(&self.sealed);
        let mut all: Vec<_> = sealed
            .iter()
            .map(|sealed| Readable {
                first: sealed.first,
                end: sealed.first + sealed.count,
                bytes: sealed.bytes,
                is_indexed: sealed.is_indexed,
                blocks: sealed.blocks.clone(),
                times: (sealed.min_ms, sealed.max_ms),
            })
            .collect();
        all.push(Readable {
            first: active.first,
            end: active.readable.number,
            bytes: active.readable.offset,
            is_indexed: false,
            blocks: active.blocks.clone(),
            times: active.times,
        });
        Segments { dir: &self.dir, all }
    }

    pub(crate) fn first_kept(&self) -> u64 {
        let active = lock(&self.active);
        lock(&self.sealed).first().map_or(active.first, |sealed| sealed.first)
    }

    /// The hashes, with all in the files that wait.
    fn hashes(&self, size: u64) -> Result<std::sync::MutexGuard<'_, Hashes>, ProofError> {
        let mut hashes = lock(&self.hashes);
        hashes.flush().map_err(|error| ProofError::Read(std::io::Error::other(error.in_words())))?;
        match size <= hashes.in_files {
            true => Ok(hashes),
            false => Err(ProofError::OutOfRange { number: size, size: hashes.in_files }),
        }
    }

    pub(crate) fn inclusion_proof(&self, number: u64, size: u64) -> Result<Vec<Hash>, ProofError> {
        tree::inclusion_proof(&self.hashes(size)?.files, number, size)
    }

    pub(crate) fn consistency_proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, ProofError> {
        tree::consistency_proof(&self.hashes(to)?.files, from, to)
    }

    pub(crate) fn frontier(&self, size: u64) -> Result<Frontier, ProofError> {
        Ok(tree::frontier(&self.hashes(size)?.files, size)?)
    }

    pub(crate) fn root(&self, size: u64) -> Result<Hash, ProofError> {
        Ok(tree::root(&self.hashes(size)?.files, size)?)
    }
}

impl Segments<'_> {
    /// The number of the oldest event that is kept.
    pub(super) fn first_kept(&self) -> u64 {
        self.all.first().map_or(0, |segment| segment.first)
    }

    /// Events as they are on disk, from `from` on.
    pub(crate) fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, ReadError> {
        let mut found = Vec::new();
        let mut bytes_left = READ_BYTES_MAX;
        for segment in self.all.iter().filter(|segment| segment.end > from) {
            match self.read_segment(segment, from, max, &mut bytes_left, &mut found) {
                // Deleted meanwhile: the next ones are the oldest now.
                Err(ReadError::Segment { fault: SegmentFault::Io(error), .. })
                    if error.kind() == std::io::ErrorKind::NotFound && found.is_empty() => {}
                read => read?,
            }
            if found.len() >= max || bytes_left == 0 {
                break;
            }
        }
        Ok(found)
    }

    fn read_segment(
        &self,
        segment: &Readable,
        from: u64,
        max: usize,
        bytes_left: &mut usize,
        found: &mut Vec<(u64, Bytes)>,
    ) -> Result<(), ReadError> {
        let index = if segment.is_indexed { Index::read(self.dir, segment.first)? } else { None };
        let block = index.and_then(|index| index.block_of(from)).unwrap_or_else(|| segment.block_of(from));
        let failed = |fault| ReadError::Segment { path: events_path(self.dir, segment.first), fault };
        let mut reader =
            SegmentReader::open_at(self.dir, segment.first, block, segment.bytes).map_err(failed)?;
        while found.len() < max && *bytes_left > 0 {
            let Some((number, bytes)) = reader.next_event().map_err(failed)? else { break };
            if number >= from {
                *bytes_left = bytes_left.saturating_sub(bytes.len());
                found.push((number, bytes));
            }
        }
        Ok(())
    }
}
