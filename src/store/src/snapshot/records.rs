//! Iteration over a snapshot file, with every check.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::format::{
    Cursor, FORMAT, Footer, Header, MAGIC, MAGIC_BYTES, SECTION_HEAD_BYTES, Section, SectionHead,
};
use crate::{SnapshotFault, StoreError};

/// A record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// The index of the table in the snapshot's list.
    pub table: usize,
    pub key: Bytes,
    pub value: Bytes,
}

/// Where a snapshot is in its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) begin: u64,
    /// The number of bytes that follow it.
    pub(super) behind: u64,
    /// SHA-256 of the whole, once it was verified.
    pub(super) digest: Option<[u8; 32]>,
}

/// The records of a snapshot, in order. Iteration ends after an error; without an error the records are
/// complete.
#[derive(Debug)]
pub struct SnapshotRecords {
    input: RecordsInput,
    tables: usize,
    chunk: Bytes,
    last: Option<(usize, Bytes)>,
    records: u64,
    footer: Option<Footer>,
    expected: Option<[u8; 32]>,
    failed: bool,
}

impl SnapshotRecords {
    pub(super) fn open(path: &Path, extent: Extent) -> Result<(Self, Header), StoreError> {
        let mut input = RecordsInput::open(path, extent)?;
        let (section, body) = input.section()?;
        let header = match section {
            Section::Header => Header::parse(&body).ok_or_else(|| input.fault(SnapshotFault::Malformed))?,
            _ => return Err(input.fault(SnapshotFault::OutOfPlace)),
        };
        let tables = header.tables.len();
        let (chunk, expected) = (Bytes::new(), extent.digest);
        let records =
            Self { input, tables, chunk, last: None, records: 0, footer: None, expected, failed: false };
        Ok((records, header))
    }

    /// The footer, once the last record was read.
    pub(super) const fn footer(&self) -> Option<Footer> {
        self.footer
    }

    /// The number of bytes read so far.
    pub(super) const fn offset(&self) -> u64 {
        self.input.offset
    }

    /// SHA-256 of the bytes read so far.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.input.digest()
    }

    fn advance(&mut self) -> Result<Option<SnapshotRecord>, StoreError> {
        while self.footer.is_none() {
            if !self.chunk.is_empty() {
                return self.record().map(Some).map_err(|fault| self.input.fault(fault));
            }
            let digest = self.input.digest();
            match self.input.section()? {
                (Section::Chunk, body) if !body.is_empty() => self.chunk = body,
                (Section::Footer, body) => self.finish(&body, digest)?,
                _ => return Err(self.input.fault(SnapshotFault::OutOfPlace)),
            }
        }
        Ok(None)
    }

    /// Takes the next record from the chunk.
    fn record(&mut self) -> Result<SnapshotRecord, SnapshotFault> {
        let mut cursor = Cursor(&self.chunk);
        let (table, key, value) = cursor.record().ok_or(SnapshotFault::Malformed)?;
        if table >= self.tables {
            return Err(SnapshotFault::Malformed);
        }
        // Key and value are parts of the chunk, so they share its bytes.
        let (key, value) = (self.chunk.slice_ref(key), self.chunk.slice_ref(value));
        let rest = self.chunk.slice_ref(cursor.0);
        let place = (table, key.clone());
        if self.last.as_ref().is_some_and(|last| *last >= place) {
            return Err(SnapshotFault::OutOfOrder);
        }
        self.chunk = rest;
        self.last = Some(place);
        self.records += 1;
        Ok(SnapshotRecord { table, key, value })
    }

    fn finish(&mut self, body: &[u8], digest: [u8; 32]) -> Result<(), StoreError> {
        let footer = Footer::parse(body).ok_or_else(|| self.input.fault(SnapshotFault::Malformed))?;
        if footer.records != self.records {
            return Err(self.input.fault(SnapshotFault::Count));
        }
        if footer.digest != digest {
            return Err(self.input.fault(SnapshotFault::Digest));
        }
        if self.input.offset != self.input.length {
            self.input.section_at = self.input.offset;
            return Err(self.input.fault(SnapshotFault::Trailing));
        }
        if self.expected.is_some_and(|expected| expected != self.input.digest()) {
            return Err(self.input.fault(SnapshotFault::Digest));
        }
        self.footer = Some(footer);
        Ok(())
    }
}

impl Iterator for SnapshotRecords {
    type Item = Result<SnapshotRecord, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// The file, read forwards once, with a digest of the bytes read.
#[derive(Debug)]
struct RecordsInput {
    file: BufReader<File>,
    path: PathBuf,
    length: u64,
    offset: u64,
    section_at: u64,
    digest: Sha256,
}

impl RecordsInput {
    /// Opens the file where the snapshot begins; offsets count from the start of the file.
    fn open(path: &Path, extent: Extent) -> Result<Self, StoreError> {
        let begin = extent.begin;
        let mut file = File::open(path).map_err(StoreError::io("open", path))?;
        let length =
            file.metadata().map_err(StoreError::io("measure", path))?.len().saturating_sub(extent.behind);
        file.seek(SeekFrom::Start(begin)).map_err(StoreError::io("read", path))?;
        let file = BufReader::with_capacity(1024 * 1024, file);
        let digest = Sha256::new();
        let mut input =
            Self { file, path: path.to_owned(), length, offset: begin, section_at: begin, digest };
        let [magic @ .., format] = input.array::<MAGIC_BYTES>()?;
        if magic != MAGIC {
            return Err(input.fault(SnapshotFault::Magic));
        }
        if format != FORMAT {
            return Err(input.fault(SnapshotFault::NewerFormat));
        }
        Ok(input)
    }

    /// The digest over all bytes read so far.
    fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    fn section(&mut self) -> Result<(Section, Bytes), StoreError> {
        self.section_at = self.offset;
        let head = SectionHead::parse(self.array::<SECTION_HEAD_BYTES>()?);
        // The length is checked against the file before memory is reserved.
        if u64::from(head.body_bytes()) > self.length.saturating_sub(self.offset) {
            return Err(self.fault(SnapshotFault::Truncated));
        }
        let mut body = vec![0; usize::try_from(head.body_bytes()).unwrap_or(usize::MAX)];
        self.fill(&mut body)?;
        let section = head.check(&body).map_err(|fault| self.fault(fault))?;
        Ok((section, body.into()))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.file.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.fault(SnapshotFault::Truncated),
            _ => StoreError::io("read", &self.path)(error),
        })?;
        self.digest.update(&*bytes);
        // Lossless: a `usize` has at most 64 bits on every supported target.
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn fault(&self, fault: SnapshotFault) -> StoreError {
        StoreError::Snapshot { file: self.path.clone(), offset: self.section_at, fault }
    }
}
