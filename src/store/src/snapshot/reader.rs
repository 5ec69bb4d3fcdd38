//! Opening a snapshot file: it is verified whole, or it is refused.

use std::path::{Path, PathBuf};

use super::format::{Footer, Header};
use super::records::SnapshotRecords;
use crate::{SnapshotFault, StoreError, incoming::Temporary};

/// A snapshot file that was verified from the first byte to the last.
#[derive(Debug)]
pub struct SnapshotReader {
    path: PathBuf,
    begin: u64,
    header: Header,
    footer: Footer,
    bytes: u64,
    _temporary: Option<Temporary>,
}

impl SnapshotReader {
    /// Verifies the file at `path`: every checksum, the order of the records, their number, the
    /// digest over everything and that nothing follows.
    ///
    /// # Errors
    /// [`StoreError::Snapshot`] with file, offset and fault, or an I/O error.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_at(path, 0)
    }

    /// Verifies the snapshot that begins at byte `begin` of the file at `path` and ends with it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_at(path: &Path, begin: u64) -> Result<Self, StoreError> {
        let (mut records, header) = SnapshotRecords::open(path, begin)?;
        records.try_for_each(|record| record.map(drop))?;
        // Without an error the records end with the footer.
        let footer = records.footer().ok_or_else(|| StoreError::Snapshot {
            file: path.to_owned(),
            offset: records.offset(),
            fault: SnapshotFault::Truncated,
        })?;
        let bytes = records.offset() - begin;
        Ok(Self { path: path.to_owned(), begin, header, footer, bytes, _temporary: None })
    }

    /// The bytes its maker put into the header.
    pub fn meta(&self) -> &[u8] {
        &self.header.meta
    }

    /// The names of its tables; a record names its table by the place in this list.
    pub fn tables(&self) -> &[String] {
        &self.header.tables
    }

    /// How many records it holds.
    pub const fn record_count(&self) -> u64 {
        self.footer.records
    }

    /// How long the snapshot is.
    pub const fn byte_count(&self) -> u64 {
        self.bytes
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records, in order. They are checked once more on the way, for the disk may fail between
    /// two readings; only when the last was `Ok` are they all there.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn records(&self) -> Result<SnapshotRecords, StoreError> {
        SnapshotRecords::open(&self.path, self.begin).map(|(records, _header)| records)
    }

    /// Ties the life of the file to this reader.
    pub(crate) fn owning(mut self, file: Temporary) -> Self {
        self._temporary = Some(file);
        self
    }
}
