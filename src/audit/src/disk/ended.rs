//! Logs that ended here, which are read and never written again.
//!
//! Such a log may have ended because it was damaged: what can be read of it is, and what cannot is missing in answers,
//! where it is named by what others have cosigned.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::manifest::{Manifest, read_public_key};
use super::reading::{Readable, Segments};
use super::{ENDED, checkpoints, tail};
use crate::files::FileError;
use crate::hashes::HashFiles;
use crate::segment::{BLOCK_BYTES, Index, SegmentHeader, SegmentReader, events_path, list};
use crate::tree::{Frontier, ProofError, leaf_hash};
use crate::{Event, LogReader, Page, Query, ReadError, SignedCheckpoint, Usage, VerifierKey};

/// How many events are read at once where hashes are made of them.
const READ_EVENTS: usize = 1000;

/// A log that ended here.
#[derive(Debug)]
pub struct EndedLog {
    dir: PathBuf,
    origin: String,
    key: VerifierKey,
    segments: Vec<Readable>,
    /// How many events its newest checkpoint covers: so many hashes are on the disk.
    pub(super) signed: u64,
}

/// The logs that ended in this directory. One that cannot be read at all is left out, and the log says so.
pub fn ended_logs(dir: &Path) -> Vec<EndedLog> {
    let Ok(entries) = dir.join(ENDED).read_dir() else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        match EndedLog::open(path.clone()) {
            Ok(log) => found.extend(log),
            Err(error) => tracing::warn!(
                reason = error.in_words(), dir = %path.display(),
                "an audit log that ended here cannot be read"
            ),
        }
    }
    found.sort_by(|a, b| a.origin.cmp(&b.origin));
    found
}

impl EndedLog {
    fn open(dir: PathBuf) -> Result<Option<Self>, FileError> {
        let Some(manifest) = Manifest::read(&dir)? else { return Ok(None) };
        let key = read_public_key(&dir)?;
        let signed = match checkpoints::read_own(&dir)? {
            Some(Ok(checkpoint)) => checkpoint.checkpoint().size,
            Some(Err(_)) | None => 0,
        };
        let header = SegmentHeader { first: 0, log_id: manifest.log_id() };
        let segments = list(&dir)?.into_iter().map(|first| readable(&dir, SegmentHeader { first, ..header }));
        let segments = segments.collect::<Result<_, _>>()?;
        Ok(Some(Self { origin: manifest.origin(), dir, key, segments, signed }))
    }

    /// What its checkpoints are verified with, as it lies beside it.
    pub const fn public_key(&self) -> &VerifierKey {
        &self.key
    }

    /// The checkpoints that lie beside it, as far as they can be read: its own last one, and those that others cosigned.
    ///
    /// # Errors
    /// [`ReadError`] when a file cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<SignedCheckpoint>, ReadError> {
        let cosigned = checkpoints::read_cosigned(&self.dir)?.into_iter().flatten();
        Ok(cosigned.chain(checkpoints::read_own(&self.dir)?.and_then(Result::ok)).collect())
    }

    /// The segments that were not deleted after their time.
    fn segments(&self) -> Segments<'_> {
        let kept = self.segments.iter().filter(|segment| events_path(&self.dir, segment.first).exists());
        Segments { dir: &self.dir, all: kept.cloned().collect() }
    }
}

impl LogReader for EndedLog {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn size(&self) -> u64 {
        // Once all are deleted after their time, their hashes are left.
        self.segments.iter().map(|segment| segment.end).max().unwrap_or(self.signed)
    }

    fn first_kept(&self) -> u64 {
        let kept = self.segments();
        if kept.all.is_empty() { self.size() } else { kept.first_kept() }
    }

    fn usage(&self) -> Usage {
        let kept = self.segments();
        let oldest_ms = kept.all.iter().map(|segment| segment.times.0).min().unwrap_or(u64::MAX);
        Usage {
            bytes: kept.all.iter().map(|segment| segment.bytes).sum(),
            events: self.size(),
            first_kept: self.first_kept(),
            oldest_ms: if oldest_ms == u64::MAX { 0 } else { oldest_ms },
            ..Usage::default()
        }
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Bytes)>, ReadError> {
        self.segments().read(from, max)
    }

    fn search(&self, query: &Query) -> Result<Page, ReadError> {
        self.segments().search(query)
    }

    fn frontier(&self, size: u64) -> Result<Frontier, ProofError> {
        let unreadable = |why: String| ProofError::Read(std::io::Error::other(why));
        let hashed = size.min(self.signed);
        let hashes = HashFiles::open_to_read(&self.dir).and_then(|hashes| hashes.frontier(hashed));
        let mut frontier = hashes.map_err(|error| unreadable(error.in_words()))?;
        // Behind the last checkpoint a crash may have left no hashes, and there are few events.
        while frontier.size() < size {
            let count = usize::try_from(size - frontier.size()).unwrap_or(READ_EVENTS).min(READ_EVENTS);
            let events = self.read(frontier.size(), count).map_err(|error| unreadable(error.to_string()))?;
            let out_of_range = ProofError::OutOfRange { number: size, size: frontier.size() };
            if events.first().is_none_or(|(number, _)| *number != frontier.size()) {
                return Err(out_of_range);
            }
            events.iter().for_each(|(_, event)| frontier.push(leaf_hash(event)));
        }
        Ok(frontier)
    }
}

/// A segment as far as it can be read.
fn readable(dir: &Path, header: SegmentHeader) -> Result<Readable, FileError> {
    let path = events_path(dir, header.first);
    let length = path.metadata().map_err(FileError::new("measure", &path))?.len();
    if let Some(index) = Index::read(dir, header.first)?.filter(|index| index.events_bytes == length) {
        return Ok(Readable {
            first: index.first,
            end: index.first + index.count,
            bytes: length,
            is_indexed: true,
            blocks: Vec::new(),
            times: (index.min_ms, index.max_ms),
        });
    }
    let mut segment = Readable {
        first: header.first,
        end: header.first,
        bytes: SegmentHeader::BYTES as u64,
        is_indexed: false,
        blocks: Vec::new(),
        times: tail::NO_TIMES,
    };
    // Damaged at its beginning it has nothing to be read.
    let Ok(mut reader) = SegmentReader::open(dir, header, length) else { return Ok(segment) };
    loop {
        let at = reader.position();
        (segment.end, segment.bytes) = (at.number, at.offset);
        // It ends where it is damaged, or where the node was killed.
        let Ok(Some((_, bytes))) = reader.next_event() else { return Ok(segment) };
        if segment.blocks.last().is_none_or(|last| at.offset - last.offset >= BLOCK_BYTES) {
            segment.blocks.push(at);
        }
        if let Ok(event) = Event::decode(&bytes) {
            let (min, max) = segment.times;
            segment.times = (min.min(event.time_ms), max.max(event.time_ms));
        }
    }
}
