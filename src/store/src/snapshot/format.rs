//! Encoding and decoding of a snapshot's parts, in memory.

use crate::SnapshotFault;

pub(super) const MAGIC: [u8; 7] = *b"KMSNAP\0";

/// The format this build writes and reads.
pub(super) const FORMAT: u8 = 1;

/// The length of the magic and the format after it.
pub(super) const MAGIC_BYTES: usize = 8;

/// The length of a section's head, before the body.
pub(super) const SECTION_HEAD_BYTES: usize = 9;

/// The kind of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Header,
    Chunk,
    Footer,
}

impl Section {
    const fn number(self) -> u8 {
        match self {
            Self::Header => b'H',
            Self::Chunk => b'C',
            Self::Footer => b'F',
        }
    }

    fn of(number: u8) -> Option<Self> {
        [Self::Header, Self::Chunk, Self::Footer].into_iter().find(|section| section.number() == number)
    }
}

/// Appends a section with `body` to `bytes`. `None` when the body is too long for its length field.
pub(super) fn write_section(bytes: &mut Vec<u8>, section: Section, body: &[u8]) -> Option<()> {
    let length = u32::try_from(body.len()).ok()?.to_le_bytes();
    bytes.push(section.number());
    bytes.extend(length);
    bytes.extend(checksum(section.number(), length, body).to_le_bytes());
    bytes.extend(body);
    Some(())
}

/// The head of a section, before the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct SectionHead {
    number: u8,
    length: [u8; 4],
    checksum: u32,
}

impl SectionHead {
    pub(super) const fn parse(bytes: [u8; SECTION_HEAD_BYTES]) -> Self {
        let [number, l0, l1, l2, l3, c0, c1, c2, c3] = bytes;
        Self { number, length: [l0, l1, l2, l3], checksum: u32::from_le_bytes([c0, c1, c2, c3]) }
    }

    pub(super) const fn body_bytes(&self) -> u32 {
        u32::from_le_bytes(self.length)
    }

    /// The section's kind, if the checksum matches `body`.
    pub(super) fn check(&self, body: &[u8]) -> Result<Section, SnapshotFault> {
        if checksum(self.number, self.length, body) != self.checksum {
            return Err(SnapshotFault::Checksum);
        }
        Section::of(self.number).ok_or(SnapshotFault::OutOfPlace)
    }
}

fn checksum(number: u8, length: [u8; 4], body: &[u8]) -> u32 {
    let [l0, l1, l2, l3] = length;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[number, l0, l1, l2, l3]);
    hasher.update(body);
    hasher.finalize()
}

/// The content of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) meta: Vec<u8>,
    pub(super) tables: Vec<String>,
}

impl Header {
    /// The header's body. `None` when a part is too long for its length field.
    pub(super) fn to_body(&self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        body.extend(u32::try_from(self.meta.len()).ok()?.to_le_bytes());
        body.extend(&self.meta);
        body.push(u8::try_from(self.tables.len()).ok()?);
        for name in &self.tables {
            body.push(u8::try_from(name.len()).ok()?);
            body.extend(name.as_bytes());
        }
        Some(body)
    }

    /// The header with this body. `None` when the bytes are not a header.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(body);
        let meta_bytes = usize::try_from(cursor.u32()?).ok()?;
        let meta = cursor.take(meta_bytes)?.to_vec();
        let count = cursor.u8()?;
        let mut tables = Vec::new();
        for _ in 0..count {
            let name_bytes = usize::from(cursor.u8()?);
            tables.push(String::from_utf8(cursor.take(name_bytes)?.to_vec()).ok()?);
        }
        cursor.0.is_empty().then_some(Self { meta, tables })
    }
}

/// The content of a footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) records: u64,
    pub(super) digest: [u8; 32],
}

impl Footer {
    pub(super) fn to_body(self) -> Vec<u8> {
        let mut body = self.records.to_le_bytes().to_vec();
        body.extend(self.digest);
        body
    }

    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let (records, digest) = body.split_first_chunk()?;
        Some(Self { records: u64::from_le_bytes(*records), digest: digest.try_into().ok()? })
    }
}

/// Appends a record to the body of a chunk. `None` when a part is too long for its length field.
pub(super) fn write_record(body: &mut Vec<u8>, table: usize, key: &[u8], value: &[u8]) -> Option<()> {
    let key_bytes = u16::try_from(key.len()).ok()?;
    let value_bytes = u32::try_from(value.len()).ok()?;
    body.push(u8::try_from(table).ok()?);
    body.extend(key_bytes.to_le_bytes());
    body.extend(value_bytes.to_le_bytes());
    body.extend(key);
    body.extend(value);
    Some(())
}

/// Bytes to be taken from the front.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next record: table, key and value.
    pub(super) fn record(&mut self) -> Option<(usize, &'a [u8], &'a [u8])> {
        let table = usize::from(self.u8()?);
        let key_bytes = usize::from(self.array().map(u16::from_le_bytes)?);
        let value_bytes = usize::try_from(self.u32()?).ok()?;
        Some((table, self.take(key_bytes)?, self.take(value_bytes)?))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}
