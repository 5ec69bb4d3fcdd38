//! Opens a snapshot file: it is verified completely, or refused.

use std::path::{Path, PathBuf};

use super::format::Header;
use super::records::Extent;
use super::records::SnapshotRecords;
use crate::{SnapshotFault, StoreError, incoming::Temporary};

/// A snapshot file that was verified from the first byte to the last.
#[derive(Debug)]
pub struct SnapshotReader {
    path: PathBuf,
    extent: Extent,
    header: Header,
    record_count: u64,
    bytes: u64,
    digest: [u8; 32],
    _temporary: Option<Temporary>,
}

impl SnapshotReader {
    /// Verifies the file at `path`: every checksum, the order of the records, their number, the
    /// digest over everything and that nothing follows.
    ///
    /// # Errors
    /// [`StoreError::Snapshot`] with file, offset and fault, or an I/O error.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_within(path, 0, 0)
    }

    /// Verifies the snapshot that begins at byte `begin` of the file at `path` and ends `behind` bytes before
    /// the file does.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_within(path: &Path, begin: u64, behind: u64) -> Result<Self, StoreError> {
        let mut extent = Extent { begin, behind, digest: None };
        let (mut records, header) = SnapshotRecords::open(path, extent)?;
        records.try_for_each(|record| record.map(drop))?;
        // The records end with the footer unless there was an error.
        let footer = records.footer().ok_or_else(|| StoreError::Snapshot {
            file: path.to_owned(),
            offset: records.offset(),
            fault: SnapshotFault::Truncated,
        })?;
        let bytes = records.offset() - begin;
        let digest = records.digest();
        extent.digest = Some(digest);
        Ok(Self {
            path: path.to_owned(),
            extent,
            header,
            record_count: footer.records,
            bytes,
            digest,
            _temporary: None,
        })
    }

    /// The metadata in the header, from the maker of the snapshot.
    pub fn meta(&self) -> &[u8] {
        &self.header.meta
    }

    /// The names of the tables; a record identifies its table by the index in this list.
    pub fn tables(&self) -> &[String] {
        &self.header.tables
    }

    /// The number of records.
    pub const fn record_count(&self) -> u64 {
        self.record_count
    }

    /// The length of the snapshot in bytes.
    pub const fn byte_count(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of the snapshot, its footer included.
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records, in order. They are checked again while they are read, because the disk may fail between
    /// two reads, and against what was verified, because another file may have taken the place of that one.
    /// They are complete only if the last one was `Ok`.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn records(&self) -> Result<SnapshotRecords, StoreError> {
        SnapshotRecords::open(&self.path, self.extent).map(|(records, _header)| records)
    }

    /// Removes the file when this reader is dropped.
    pub(crate) fn owning(mut self, file: Temporary) -> Self {
        self._temporary = Some(file);
        self
    }
}
