//! Makes a snapshot from a view, piece by piece as the network requests it.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::format::{FORMAT, Footer, Header, MAGIC, Section, write_record, write_section};
use crate::{StoreError, TableIter, View};

/// The minimum bytes of records in a piece, except the last.
const PIECE_BYTES: usize = 256 * 1024;

/// The pieces of a snapshot, in order. Concatenated they are the file that
/// [`SnapshotReader`](super::SnapshotReader) opens. After an error there are no more pieces.
#[derive(Debug)]
pub struct SnapshotWriter {
    view: View,
    next: Next,
    digest: Sha256,
    records: u64,
}

#[derive(Debug)]
enum Next {
    Header { meta: Vec<u8> },
    Records { table: usize, iter: TableIter },
    Footer,
    End,
}

impl SnapshotWriter {
    /// A snapshot of `view`. The caller's `meta` is stored in the header unchanged.
    pub fn new(view: View, meta: Vec<u8>) -> Self {
        Self { view, next: Next::Header { meta }, digest: Sha256::new(), records: 0 }
    }

    /// The number of records in the pieces so far.
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// SHA-256 of the pieces so far.
    pub fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    fn step(&mut self) -> Result<Option<Bytes>, StoreError> {
        let (piece, next) = match std::mem::replace(&mut self.next, Next::End) {
            Next::Header { meta } => (self.header(meta)?, self.begin(0)?),
            Next::Records { table, iter } => match self.chunk(table, iter)? {
                (Some(chunk), next) => (chunk, next),
                (None, _) => (self.footer()?, Next::End),
            },
            Next::Footer => (self.footer()?, Next::End),
            Next::End => return Ok(None),
        };
        self.next = next;
        Ok(Some(piece))
    }

    fn header(&mut self, meta: Vec<u8>) -> Result<Bytes, StoreError> {
        let tables = self.view.tables().iter().map(|name| (*name).to_owned()).collect();
        let mut bytes = MAGIC.to_vec();
        bytes.push(FORMAT);
        let body = Header { meta, tables }.to_body();
        self.seal(bytes, Section::Header, body)
    }

    /// Continues with the records of `table`, or the footer when there is no such table.
    fn begin(&self, table: usize) -> Result<Next, StoreError> {
        if table >= self.view.tables().len() {
            return Ok(Next::Footer);
        }
        Ok(Next::Records { table, iter: self.view.iter(table)? })
    }

    /// The next chunk, which may extend into later tables; `None` when no record is left.
    fn chunk(&mut self, mut table: usize, mut iter: TableIter) -> Result<(Option<Bytes>, Next), StoreError> {
        let mut body = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8);
        let next = loop {
            if body.len() >= PIECE_BYTES {
                break Next::Records { table, iter };
            }
            if let Some(record) = iter.next() {
                let (key, value) = record?;
                write_record(&mut body, table, &key, &value).ok_or_else(|| self.too_long())?;
                self.records += 1;
                continue;
            }
            match self.begin(table + 1)? {
                Next::Records { table: following, iter: its } => (table, iter) = (following, its),
                footer => break footer,
            }
        };
        if body.is_empty() {
            return Ok((None, next));
        }
        let chunk = self.seal(Vec::new(), Section::Chunk, Some(body))?;
        Ok((Some(chunk), next))
    }

    fn footer(&mut self) -> Result<Bytes, StoreError> {
        let footer = Footer { records: self.records, digest: self.digest.clone().finalize().into() };
        self.seal(Vec::new(), Section::Footer, Some(footer.to_body()))
    }

    fn seal(
        &mut self,
        mut bytes: Vec<u8>,
        section: Section,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes, StoreError> {
        body.and_then(|body| write_section(&mut bytes, section, &body)).ok_or_else(|| self.too_long())?;
        self.digest.update(&bytes);
        Ok(bytes.into())
    }

    fn too_long(&self) -> StoreError {
        let too_long =
            std::io::Error::new(std::io::ErrorKind::FileTooLarge, "a part passes its length field");
        StoreError::io("write a snapshot of", self.view.path())(too_long)
    }
}

impl Iterator for SnapshotWriter {
    type Item = Result<Bytes, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
