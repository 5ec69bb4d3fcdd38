//! Telling a torn tail from damage, before the log is opened and the difference is lost.
//!
//! The crate `raft-log` truncates its last file wherever a record seems to run past the end. That
//! is right for the write a power cut interrupted. But a damaged length in the middle of the file
//! looks the same, and truncating there would drop entries that were acknowledged. So the last
//! file is read once more here: what breaks off is torn only if no whole record follows, and if
//! no single flipped bit in its head would make it a whole record itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use codeq::Decode;
use raft_log::RaftLogRecord;

use super::record::Types;
use crate::store::StoreError;

/// At least the bytes of a record that say how long it is: all of any but an entry's payload.
const RECORD_HEAD_BYTES: usize = 128;

/// Refuses a log whose last file is damaged rather than torn.
pub(super) fn refuse_damaged_tail(dir: &Path) -> Result<(), StoreError> {
    let files = files(dir).map_err(StoreError::io("read", dir))?;
    let Some(file) = files.last() else {
        return Ok(());
    };
    let bytes = fs::read(file).map_err(StoreError::io("read", file))?;
    match first_bad(&bytes) {
        Some(bad) if !is_torn(&bad) => Err(StoreError::LogDamaged { file: file.clone(), offset: bad.offset }),
        _ => Ok(()),
    }
}

/// Where a log that cannot be opened is damaged, if its records are what is wrong with it.
pub(super) fn locate(dir: &Path) -> Option<StoreError> {
    files(dir).ok()?.into_iter().find_map(|file| {
        let bytes = fs::read(&file).ok()?;
        let bad = first_bad(&bytes)?;
        Some(StoreError::LogDamaged { file, offset: bad.offset })
    })
}

/// Whether the file in which the log began is still there.
pub(super) fn has_first_file(dir: &Path) -> io::Result<bool> {
    let zero = |name: &str| name.bytes().all(|byte| !byte.is_ascii_digit() || byte == b'0');
    Ok(files(dir)?.first().and_then(|file| file.file_name()?.to_str()).is_some_and(zero))
}

/// The files of the log, oldest first: their names are their offsets, padded to one width.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A record that cannot be read, and all bytes from its begin.
struct Bad<'a> {
    offset: u64,
    rest: &'a [u8],
    error: io::Error,
}

fn first_bad(bytes: &[u8]) -> Option<Bad<'_>> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = rest;
        if let Err(error) = RaftLogRecord::<Types>::decode(&mut rest) {
            // Lossless on every target this builds for.
            let offset = (bytes.len() - at.len()) as u64;
            return Some(Bad { offset, rest: at, error });
        }
    }
    None
}

fn is_torn(bad: &Bad<'_>) -> bool {
    // A file system may have lengthened the file before it wrote the data.
    let all_zero = bad.rest.iter().all(|byte| *byte == 0);
    let breaks_off = bad.error.kind() == io::ErrorKind::UnexpectedEof;
    all_zero || (breaks_off && !record_follows(bad.rest) && !one_bit_makes_it_whole(bad.rest))
}

fn is_record(bytes: &[u8]) -> bool {
    RaftLogRecord::<Types>::decode(bytes).is_ok()
}

fn record_follows(rest: &[u8]) -> bool {
    (1..rest.len()).filter_map(|at| rest.get(at..)).any(|later| {
        // Every record begins with a small number in four bytes; decoding at each byte is slow.
        matches!(later, [0, 0, 0, 0..=5, ..]) && is_record(later)
    })
}

fn one_bit_makes_it_whole(rest: &[u8]) -> bool {
    let mut rest = rest.to_vec();
    let head = RECORD_HEAD_BYTES.min(rest.len());
    (0..head * 8).any(|bit| {
        flip(&mut rest, bit);
        let whole = is_record(&rest);
        flip(&mut rest, bit);
        whole
    })
}

fn flip(bytes: &mut [u8], bit: usize) {
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}
