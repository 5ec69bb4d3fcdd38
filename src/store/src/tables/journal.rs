//! The engine's journal, read before the engine reads it.
//!
//! Commits are not synced, so after a power cut only those pages of the newest batches exist that the kernel
//! had written: holes of zeros followed by whole batches are usual. On its own, the engine silently drops
//! everything after a hole between two entries, synced or not, and refuses to open if a hole is inside a
//! value. So the journal is cut here after its last whole batch. The batches cut off come again from the Raft
//! log, which is the write-ahead log. A cut is sound if no table file holds anything newer ([`Cut::settle`])
//! and the log reaches back to the remaining batches, which the code that opens the log checks.
//!
//! ```text
//! batch = 1 items:u32 seqno:u64  item*  3 checksum:u64 "FJL" 3
//! item  = 2 kind:u8 compression:u8 table:u64 key:u16 value:u32 stored:u32 key value  |  4 table:u64
//! ```
//!
//! Integers are little-endian; the checksum is the XXH3 of all items' bytes.

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::inventory::Inventory;
use crate::{StoreError, durable};

const TRAILER: [u8; 3] = *b"FJL";
/// The version of the format that this reads.
const VERSION: u8 = 3;
/// No value is longer: a greater length is damage, and nothing is reserved for it.
const VALUE_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// The most numbers that are used up between two batches.
const GAP_MAX: u64 = 1 << 16;
/// The bytes compared at once after the last batch.
const ZEROS_BYTES: usize = 256 * 1024;
/// The length of an item before its key.
const ITEM_HEAD_BYTES: usize = 20;

/// The file that notes a cut until it is known to be sound, so that a refusal repeats at the next start.
const NOTE: &str = "cut";

/// The incomplete end of a journal, to be cut off or cut off already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cut {
    file: PathBuf,
    /// The new length of the file.
    offset: u64,
    /// The number of the first lost batch; all later ones are lost too.
    first_lost: u64,
}

impl Cut {
    /// Cuts off the incomplete end of the journal in `dir`, if there is one. A cut that was made before and
    /// not found sound is returned again.
    ///
    /// # Errors
    /// With nothing changed: [`StoreError::TablesDamaged`] when a journal file other than the newest is
    /// incomplete, because each was synced before the next one was started;
    /// [`StoreError::TablesDamaged`] or [`StoreError::TablesIncomplete`] when the journal ends before a batch
    /// of the inventory; [`StoreError::UnknownFormat`] for batches of another version. An I/O error.
    pub(super) fn make(dir: &Path, inventory: &Inventory) -> Result<Option<Self>, StoreError> {
        let note = dir.join(NOTE);
        match fs::read_to_string(&note) {
            Ok(text) => {
                let unreadable =
                    |why| StoreError::io("read", &note)(io::Error::new(ErrorKind::InvalidData, why));
                let cut: Self = toml::from_str(&text).map_err(unreadable)?;
                cut.refuse_lost(dir, inventory)?;
                cut.truncate()?;
                return Ok(Some(cut));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("read", &note)(error)),
        }
        let (last, cut) = find(dir)?;
        let Some(cut) = cut else {
            return inventory
                .lacks_batches(dir, last)
                .map_or(Ok(None), |file| Err(StoreError::TablesIncomplete { file }));
        };
        cut.refuse_lost(dir, inventory)?;
        let text = toml::to_string(&cut)
            .map_err(|error| StoreError::io("write", &note)(io::Error::new(ErrorKind::InvalidData, error)))?;
        durable::write_file(&note, text.as_bytes())?;
        cut.truncate()?;
        Ok(Some(cut))
    }

    /// Refuses to cut off a batch that was synced.
    fn refuse_lost(&self, dir: &Path, inventory: &Inventory) -> Result<(), StoreError> {
        let last_kept = self.first_lost.checked_sub(1).filter(|_| self.first_lost != u64::MAX);
        match inventory.lacks_batches(dir, last_kept) {
            Some(_) => Err(StoreError::TablesDamaged { file: self.file.clone(), offset: self.offset }),
            None => Ok(()),
        }
    }

    /// Confirms that the cut is sound: no table file holds a batch that may have been cut off. `seqno` is the
    /// newest number in any table file.
    ///
    /// # Errors
    /// [`StoreError::TablesDamaged`] when a table file may hold such a batch, at every later start too; an
    /// I/O error.
    pub(super) fn settle(self, dir: &Path, seqno: Option<u64>) -> Result<(), StoreError> {
        if seqno.is_some_and(|seqno| seqno >= self.first_lost) {
            return Err(StoreError::TablesDamaged { file: self.file, offset: self.offset });
        }
        tracing::warn!(
            file = %self.file.display(),
            offset = self.offset,
            "the end of the tables' journal was torn and is cut off; it comes again from the raft log"
        );
        let note = dir.join(NOTE);
        fs::remove_file(&note).map_err(StoreError::io("remove", &note))?;
        durable::sync_directory(dir)
    }

    fn truncate(&self) -> Result<(), StoreError> {
        let file = durable::open_file(&self.file)?;
        file.set_len(self.offset)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("truncate", &self.file))
    }
}

/// The last whole batch of the journal in `dir`, and its incomplete end, if there is one.
fn find(dir: &Path) -> Result<(Option<u64>, Option<Cut>), StoreError> {
    let numbers = numbers(dir)?;
    let mut last = None;
    for number in &numbers {
        let is_newest = numbers.last() == Some(number);
        let file = file(dir, *number);
        let scanned = scan(&file).map_err(StoreError::io("read", &file))?;
        last = scanned.last_seqno.or(last);
        let Some(bad) = scanned.bad else { continue };
        if let JournalDamage::Version(found) = bad {
            let (found, known) = (u64::from(found), u64::from(VERSION));
            return Err(StoreError::UnknownFormat { file, found, known });
        }
        if !is_newest || bad == JournalDamage::OutOfOrder {
            return Err(StoreError::TablesDamaged { file, offset: scanned.whole_bytes });
        }
        let first_lost = match (last, bad) {
            (Some(last), _) => last.saturating_add(1),
            // No batch of this file had reached the disk, so none is in a table file.
            (None, JournalDamage::Hole) => u64::MAX,
            (None, _) => 0,
        };
        return Ok((last, Some(Cut { file, offset: scanned.whole_bytes, first_lost })));
    }
    Ok((last, None))
}

/// The journal's file of this number.
pub(super) fn file(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number}.jnl"))
}

/// The numbers of the journal's files, oldest first.
pub(super) fn numbers(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let failed = || StoreError::io("read", dir);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jnl"));
        numbers.extend(name.and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The bytes after the last whole batch, unless they are the zeros of a preallocated file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JournalDamage {
    /// The bytes start with a zero, which no batch does.
    Hole,
    /// A whole batch whose number, or the one before it, is wrong: no power cut causes that.
    OutOfOrder,
    /// A whole batch of another version of the format.
    Version(u8),
    Other,
}

pub(super) struct Scanned {
    pub(super) whole_bytes: u64,
    pub(super) last_seqno: Option<u64>,
    pub(super) bad: Option<JournalDamage>,
}

pub(super) fn scan(path: &Path) -> io::Result<Scanned> {
    let length = fs::metadata(path)?.len();
    let mut input =
        JournalReader { file: BufReader::with_capacity(256 * 1024, File::open(path)?), offset: 0 };
    let mut scanned = Scanned { whole_bytes: 0, last_seqno: None, bad: None };
    while scanned.whole_bytes < length {
        match batch(&mut input) {
            // The checksum does not cover the number. A larger one would hide later batches.
            Ok(seqno) if scanned.last_seqno.is_some_and(|last| !follows(last, seqno)) => {
                scanned.bad = Some(JournalDamage::OutOfOrder);
                return Ok(scanned);
            }
            Ok(seqno) => {
                scanned.whole_bytes = input.offset;
                scanned.last_seqno = Some(seqno);
            }
            Err(Stop::Io(error)) => return Err(error),
            // One engine writes a whole file: another version later in it is damage.
            Err(Stop::Version(found)) if scanned.whole_bytes == 0 => {
                scanned.bad = Some(JournalDamage::Version(found));
                return Ok(scanned);
            }
            Err(Stop::Zero) if input.offset == scanned.whole_bytes + 1 => {
                scanned.bad = if input.is_zero_to_the_end()? { None } else { Some(JournalDamage::Hole) };
                return Ok(scanned);
            }
            Err(_) => {
                scanned.bad = Some(JournalDamage::Other);
                return Ok(scanned);
            }
        }
    }
    Ok(scanned)
}

/// Batches have consecutive numbers, except that the engine uses up a few in between.
fn follows(last: u64, next: u64) -> bool {
    next > last && next - last <= GAP_MAX
}

/// Why there is no further batch.
enum Stop {
    /// There is a zero where an entry would start.
    Zero,
    /// The batch is not whole.
    Broken,
    /// The batch is whole, and of another version.
    Version(u8),
    /// The file could not be read.
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof { Self::Broken } else { Self::Io(error) }
    }
}

/// Reads a batch and returns its number.
fn batch(input: &mut JournalReader) -> Result<u64, Stop> {
    match input.array()? {
        [1] => {}
        [0] => return Err(Stop::Zero),
        [_] => return Err(Stop::Broken),
    }
    let items = u32::from_le_bytes(input.array()?);
    let seqno = u64::from_le_bytes(input.array()?);
    let mut checksum = Xxh3::new();
    for _ in 0..items {
        item(input, &mut checksum)?;
    }
    let ([tag], stored) = (input.array()?, input.array()?);
    let trailer: [u8; 3] = input.array()?;
    let [version] = input.array()?;
    let whole = tag == 3 && trailer == TRAILER && u64::from_le_bytes(stored) == checksum.digest();
    match version {
        _ if !whole => Err(Stop::Broken),
        VERSION => Ok(seqno),
        other => Err(Stop::Version(other)),
    }
}

fn item(input: &mut JournalReader, checksum: &mut Xxh3) -> Result<(), Stop> {
    let [tag] = input.array()?;
    checksum.update(&[tag]);
    match tag {
        2 => {}
        4 => {
            let table: [u8; 8] = input.array()?;
            checksum.update(&table);
            return Ok(());
        }
        _ => return Err(Stop::Broken),
    }
    let head: [u8; ITEM_HEAD_BYTES] = input.array()?;
    checksum.update(&head);
    let [_, _, _, _, _, _, _, _, _, _, k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
    let value_bytes = u32::from_le_bytes([v0, v1, v2, v3]);
    if value_bytes > VALUE_BYTES_MAX {
        return Err(Stop::Broken);
    }
    let mut left = u64::from(u16::from_le_bytes([k0, k1])) + u64::from(value_bytes);
    let mut buffer = [0; 4096];
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let (piece, _) = buffer.split_at_mut(piece);
        input.fill(piece)?;
        checksum.update(piece);
        // Lossless: a `usize` has at most 64 bits on every supported target.
        left -= piece.len() as u64;
    }
    Ok(())
}

/// A file that is read once, forwards.
struct JournalReader {
    file: BufReader<File>,
    offset: u64,
}

impl JournalReader {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact(bytes)?;
        // Lossless: a `usize` has at most 64 bits on every supported target.
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn is_zero_to_the_end(&mut self) -> io::Result<bool> {
        // Compared in blocks, not byte by byte: tens of megabytes are read at every start.
        static ZEROS: [u8; ZEROS_BYTES] = [0; ZEROS_BYTES];
        let mut buffer = vec![0; ZEROS_BYTES];
        loop {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                return Ok(true);
            }
            if buffer.get(..read) != ZEROS.get(..read) {
                return Ok(false);
            }
        }
    }
}
