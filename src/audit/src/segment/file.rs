//! The files of segments, and reading them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::index::Block;
use super::record::{RECORD_HEADER_BYTES, RecordHeader};
use crate::files::FileError;

const MAGIC: [u8; 8] = *b"KMAUDIT\x01";
const SEGMENTS: &str = "segments";

/// The file of the events from `first` on.
pub(crate) fn events_path(log: &Path, first: u64) -> PathBuf {
    log.join(SEGMENTS).join(format!("{first:020}.events"))
}

/// The index of that file.
pub(crate) fn index_path(log: &Path, first: u64) -> PathBuf {
    events_path(log, first).with_extension("index")
}

/// The numbers of the first events of all segments, in order.
pub(crate) fn list(log: &Path) -> Result<Vec<u64>, FileError> {
    let directory = log.join(SEGMENTS);
    let failed = || FileError::new("read", &directory);
    let mut found = Vec::new();
    for entry in directory.read_dir().map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".events"));
        found
            .extend(digits.filter(|digits| digits.len() == 20).and_then(|digits| digits.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// What stands at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The number of its first event.
    pub(crate) first: u64,
    /// Of which log it is.
    pub(crate) log_id: u64,
}

impl SegmentHeader {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let fields = [MAGIC, self.first.to_le_bytes(), self.log_id.to_le_bytes()].concat();
        let crc = crc32fast::hash(&fields).to_le_bytes();
        for (to, from) in bytes.iter_mut().zip(fields.iter().chain(&crc)) {
            *to = *from;
        }
        bytes
    }

    pub(crate) fn decode(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let number = |at: usize| {
            let field = bytes.get(at..)?.first_chunk::<8>()?;
            Some(u64::from_le_bytes(*field))
        };
        let header = Self { first: number(8)?, log_id: number(16)? };
        (header.encode() == bytes).then_some(header)
    }
}

/// Why a segment cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum SegmentFault {
    #[error("the header is damaged, or another segment's")]
    Header,
    /// The file ends in the middle of a record.
    #[error("the record of event {number} at offset {offset} is cut off")]
    Torn { number: u64, offset: u64 },
    /// The CRC does not hold, or the length is no event's.
    #[error("the record of event {number} at offset {offset} is damaged, or stands where another should")]
    Damaged { number: u64, offset: u64 },
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads the events of a segment in order.
pub(crate) struct SegmentReader<R = BufReader<io::Take<File>>> {
    from: R,
    number: u64,
    offset: u64,
}

impl SegmentReader {
    /// Reads a segment from its beginning up to `end` bytes.
    pub(crate) fn open(log: &Path, header: SegmentHeader, end: u64) -> Result<Self, SegmentFault> {
        let file = File::open(events_path(log, header.first))?;
        Self::new(BufReader::with_capacity(256 * 1024, file.take(end)), Some(header))
    }

    /// Reads a segment from a record on.
    pub(crate) fn open_at(log: &Path, first: u64, block: Block, end: u64) -> Result<Self, SegmentFault> {
        let mut file = File::open(events_path(log, first))?;
        file.seek(SeekFrom::Start(block.offset))?;
        let left = end.saturating_sub(block.offset);
        let capacity = usize::try_from(left).unwrap_or(usize::MAX).clamp(1, 256 * 1024);
        let from = BufReader::with_capacity(capacity, file.take(left));
        Ok(Self { from, number: block.number, offset: block.offset })
    }
}

impl<R: Read> SegmentReader<R> {
    /// Reads a segment's header, which must be as expected if it is known, and then its records.
    pub(crate) fn new(mut from: R, expected: Option<SegmentHeader>) -> Result<Self, SegmentFault> {
        let mut bytes = [0; SegmentHeader::BYTES];
        from.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => SegmentFault::Header,
            _ => SegmentFault::Io(error),
        })?;
        let header = SegmentHeader::decode(bytes);
        let header = header.filter(|found| expected.is_none_or(|expected| expected == *found));
        let header = header.ok_or(SegmentFault::Header)?;
        Ok(Self { from, number: header.first, offset: SegmentHeader::BYTES as u64 })
    }

    /// Where the next record begins.
    pub(crate) const fn position(&self) -> Block {
        Block { number: self.number, offset: self.offset }
    }

    /// The next event: its number and bytes; `None` at the end. After [`SegmentFault::Damaged`] with a length that an
    /// event may have, the next call gives the record after it.
    pub(crate) fn next_event(&mut self) -> Result<Option<(u64, Bytes)>, SegmentFault> {
        let (number, offset) = (self.number, self.offset);
        let mut header = [0; RECORD_HEADER_BYTES];
        match fill(&mut self.from, &mut header)? {
            0 => return Ok(None),
            RECORD_HEADER_BYTES => {}
            _ => return Err(SegmentFault::Torn { number, offset }),
        }
        let damaged = SegmentFault::Damaged { number, offset };
        let Some(header) = RecordHeader::read(header) else { return Err(damaged) };
        let mut bytes = vec![0; header.bytes];
        if fill(&mut self.from, &mut bytes)? < bytes.len() {
            return Err(SegmentFault::Torn { number, offset });
        }
        self.number += 1;
        // Lossless: a record is short.
        self.offset += (RECORD_HEADER_BYTES + bytes.len()) as u64;
        match header.holds(number, &bytes) {
            true => Ok(Some((number, bytes.into()))),
            false => Err(damaged),
        }
    }
}

/// Reads until `to` is full or there is no more, and gives how much there was.
fn fill(from: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = to.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
