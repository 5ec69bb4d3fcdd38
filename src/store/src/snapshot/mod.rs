//! Snapshot files: every table of one moment, in key order, checked from the first byte to the last.
//!
//! ```text
//! file    = magic  section(header)  section(chunk)*  section(footer)
//! magic   = "KMSNAP" 0 format
//! section = kind:u8  length:u32  crc:u32  body        the CRC-32 covers kind, length and body
//! header  = meta_length:u32  meta  tables:u8  (name_length:u8  name)*
//! chunk   = (table:u8  key_length:u16  value_length:u32  key  value)*
//! footer  = records:u64  sha256 of all bytes before the footer
//! ```
//!
//! Integers are little-endian. Records are in strictly ascending order of table and key, so that they can be
//! loaded without sorting and a repeated or swapped chunk is detected.
//!
//! Invariant: a [`SnapshotReader`] exists only for a file that was verified whole; an unverified file is
//! never installed, and a damaged file is never read as a smaller or empty one.

mod format;
mod reader;
mod records;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::SnapshotReader;
pub use records::{SnapshotRecord, SnapshotRecords};
pub use writer::SnapshotWriter;
