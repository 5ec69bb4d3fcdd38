//! One event in a segment: its length, a CRC over its number and bytes, and its bytes.
//!
//! The CRC tells damage by accident, and covers the number, so that a record which stands where another one should is
//! noticed at once. Against intent there is the tree.

use crc32fast::Hasher;

use crate::Event;

/// Length and CRC, in little endian.
pub(super) const RECORD_HEADER_BYTES: usize = 8;

fn crc(number: u64, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// Appends a record. `bytes` are those of an event, so they have at most [`Event::BYTES_MAX`].
pub(crate) fn write_record(to: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    // Lossless: an event is much shorter.
    to.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    to.extend_from_slice(&crc(number, bytes).to_le_bytes());
    to.extend_from_slice(bytes);
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) bytes: usize,
    crc: u32,
}

impl RecordHeader {
    /// `None` when no record is as long, or as short.
    pub(super) fn read(header: [u8; RECORD_HEADER_BYTES]) -> Option<Self> {
        let [a, b, c, d, crc @ ..] = header;
        let bytes = u32::from_le_bytes([a, b, c, d]) as usize;
        (1..=Event::BYTES_MAX).contains(&bytes).then_some(Self { bytes, crc: u32::from_le_bytes(crc) })
    }

    pub(super) fn holds(&self, number: u64, bytes: &[u8]) -> bool {
        crc(number, bytes) == self.crc
    }
}
