//! Distinguishes a torn tail from damage, before the log is opened and the difference is lost.
//!
//! The crate `raft-log` removes the last files while they hold no whole first record, and then truncates the
//! next file where a record seems to run past the end. That is right for a write that a power cut
//! interrupted, even if later files were created already. But a damaged length in the middle of a file looks
//! the same, and truncating there would drop acknowledged entries and votes. So every file that the crate may
//! remove or truncate is also read here: an incomplete record is torn only if no whole record follows it, and
//! if no single flipped bit in its head would make it a whole record. The crate itself decodes all earlier
//! files and refuses a wrong checksum.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use codeq::Decode;
use raft_log::RaftLogRecord;

use super::record::Types;
use crate::StoreError;

/// An upper bound for the bytes of a record that determine its length: everything but an entry's payload.
const RECORD_HEAD_BYTES: usize = 128;

/// The kind of the record that each file begins with; a version of the format follows it.
const CHECKPOINT: u8 = 5;
const CHECKPOINT_VERSION: u8 = 1;
const CHECKPOINT_VERSION_AT: usize = 4;

/// A file of the log, and the offset of its first byte in the whole log, from its name.
struct LogFile {
    begin: u64,
    path: PathBuf,
}

impl LogFile {
    fn read(&self) -> Result<Vec<u8>, StoreError> {
        fs::read(&self.path).map_err(StoreError::io("read", &self.path))
    }

    fn damaged(&self, offset: u64) -> StoreError {
        StoreError::LogDamaged { file: self.path.clone(), offset }
    }
}

/// Refuses a log whose end is damaged rather than torn, that lacks bytes before its end, or that has a format
/// which the crate does not read.
pub(super) fn refuse_damage(dir: &Path) -> Result<(), StoreError> {
    let files = files(dir).map_err(StoreError::io("read", dir))?;
    for file in &files {
        refuse_other_version(file)?;
    }
    let mut unread = files.as_slice();
    while let [earlier @ .., file] = unread {
        let bytes = file.read()?;
        match first_bad(&bytes) {
            Some(bad) if !is_torn(&bad) => return Err(file.damaged(bad.offset)),
            Some(bad) if bad.offset == 0 => unread = earlier,
            None if bytes.is_empty() => unread = earlier,
            _ => return refuse_missing_bytes(unread),
        }
    }
    // The first record of a log is on the disk before anything is acknowledged, and a purge leaves a file
    // with a whole record. A log without any is new: a single file, the first one.
    match files.as_slice() {
        [] | [LogFile { begin: 0, .. }] => Ok(()),
        [first, ..] => Err(first.damaged(0)),
    }
}

/// Refuses a file that begins with a checkpoint of another version. It is damage instead if the known version
/// in its place makes the record whole.
fn refuse_other_version(file: &LogFile) -> Result<(), StoreError> {
    let mut begin = Vec::new();
    fs::File::open(&file.path)
        .and_then(|opened| opened.take(RECORD_HEAD_BYTES as u64).read_to_end(&mut begin))
        .map_err(StoreError::io("read", &file.path))?;
    let [0, 0, 0, CHECKPOINT, found, ..] = *begin else { return Ok(()) };
    if found == CHECKPOINT_VERSION {
        return Ok(());
    }
    let mut bytes = file.read()?;
    if let Some(version) = bytes.get_mut(CHECKPOINT_VERSION_AT) {
        *version = CHECKPOINT_VERSION;
    }
    if is_record(&bytes) {
        return Err(file.damaged(0));
    }
    let (found, known) = (u64::from(found), u64::from(CHECKPOINT_VERSION));
    Err(StoreError::UnknownFormat { file: file.path.clone(), found, known })
}

/// Refuses files if one does not end where the next starts.
fn refuse_missing_bytes(files: &[LogFile]) -> Result<(), StoreError> {
    for [file, next] in files.array_windows() {
        let bytes = fs::metadata(&file.path).map_err(StoreError::io("read", &file.path))?.len();
        let bytes_due = next.begin.saturating_sub(file.begin);
        if bytes != bytes_due {
            return Err(file.damaged(bytes.min(bytes_due)));
        }
    }
    Ok(())
}

/// The position of the damage in a log that cannot be opened; `None` if its records are whole.
pub(super) fn locate(dir: &Path) -> Option<StoreError> {
    files(dir).ok()?.into_iter().find_map(|file| {
        let bytes = file.read().ok()?;
        first_bad(&bytes).map(|bad| file.damaged(bad.offset))
    })
}

/// Whether `dir` holds bytes of a log; its lock and foreign files do not count.
pub(super) fn holds_bytes(dir: &Path) -> io::Result<bool> {
    for file in files(dir)? {
        if fs::metadata(&file.path)?.len() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the first file of the log still exists.
pub(super) fn has_first_file(dir: &Path) -> io::Result<bool> {
    Ok(files(dir)?.first().is_some_and(|file| file.begin == 0))
}

/// The files of the log, oldest first. Files with other names are skipped, as the crate does.
fn files(dir: &Path) -> io::Result<Vec<LogFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Ok(begin) = raft_log::chunked_wal::Config::parse_chunk_file_name(&name.to_string_lossy()) {
            files.push(LogFile { begin, path: entry.path() });
        }
    }
    files.sort_by_key(|file| file.begin);
    Ok(files)
}

/// An unreadable record, and all bytes from its start.
struct LogDamage<'a> {
    offset: u64,
    rest: &'a [u8],
    error: io::Error,
}

fn first_bad(bytes: &[u8]) -> Option<LogDamage<'_>> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = rest;
        if let Err(error) = RaftLogRecord::<Types>::decode(&mut rest) {
            // Lossless: a `usize` has at most 64 bits on every supported target.
            let offset = (bytes.len() - at.len()) as u64;
            return Some(LogDamage { offset, rest: at, error });
        }
    }
    None
}

fn is_torn(bad: &LogDamage<'_>) -> bool {
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
