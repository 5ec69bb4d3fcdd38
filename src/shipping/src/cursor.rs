//! How far a receiver is: what it has, and what it may have.
//!
//! The file has two slots that are written in turn, in place: a write that a crash cut off leaves the other one, and no
//! write needs room on a disk that is full.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The room for one slot.
const SLOT_BYTES: usize = 512;

/// How far a receiver is in one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The log.
    pub(crate) log: String,
    /// The receiver has all events below this number.
    pub(crate) acknowledged: u64,
    /// It may have all below this one.
    pub(crate) sent: u64,
}

/// What a slot holds.
#[derive(Serialize, Deserialize)]
struct Slot {
    version: u32,
    /// The higher one counts.
    write: u64,
    #[serde(flatten)]
    position: Position,
}

const VERSION: u32 = 1;

/// Why a cursor cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CursorError {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Another version of the program wrote it.
    #[error("version {version} of it is not known; start the version of keymoot that wrote it")]
    Version { version: u32 },
    /// The log's name is too long.
    #[error("the log's name is too long")]
    TooLong,
}

/// The file of a receiver's position.
#[derive(Debug)]
pub(crate) struct Cursor {
    file: Arc<File>,
    writes: u64,
    position: Position,
    found: Found,
}

/// What was in the file when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There was none: nothing was ever sent to the receiver.
    Nothing,
    /// A position.
    Stored,
    /// Nothing that can be read: all may have been sent.
    Damage,
}

impl Cursor {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, CursorError> {
        let mut options = OpenOptions::new();
        let file =
            Arc::new(options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?);
        let mut bytes = vec![0; 2 * SLOT_BYTES];
        let mut read = 0;
        while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
            match file.read_at(room, read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        bytes.truncate(read);
        if bytes.is_empty() {
            return Ok(Self { file, writes: 0, position: Position::default(), found: Found::Nothing });
        }
        match bytes.chunks(SLOT_BYTES).filter_map(read_slot).max_by_key(|slot| slot.write) {
            None => Ok(Self { file, writes: 0, position: Position::default(), found: Found::Damage }),
            Some(slot) if slot.version != VERSION => Err(CursorError::Version { version: slot.version }),
            Some(slot) => {
                Ok(Self { file, writes: slot.write, position: slot.position, found: Found::Stored })
            }
        }
    }

    pub(crate) const fn position(&self) -> &Position {
        &self.position
    }

    /// What was in the file when it was opened.
    pub(crate) const fn found(&self) -> Found {
        self.found
    }

    /// Stores a position durably, on a thread that may wait for the disk.
    pub(crate) async fn store(&mut self, position: Position) -> Result<(), CursorError> {
        if position == self.position && self.writes > 0 {
            return Ok(());
        }
        let write = self.writes + 1;
        let bytes = written_slot(&Slot { version: VERSION, write, position: position.clone() })?;
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || {
            file.write_all_at(&bytes, (write % 2) * SLOT_BYTES as u64)?;
            file.sync_data()
        });
        written.await.map_err(io::Error::other).flatten()?;
        self.writes = write;
        self.position = position;
        Ok(())
    }
}

/// JSON, a blank, the checksum in hexadecimal; blanks up to the end of the line.
fn written_slot(slot: &Slot) -> Result<Vec<u8>, CursorError> {
    let json = serde_json::to_string(slot).map_err(io::Error::other)?;
    let line = format!("{json} {:08x}", crc32fast::hash(json.as_bytes()));
    let bytes = format!("{line:<width$}\n", width = SLOT_BYTES - 1).into_bytes();
    match bytes.len() == SLOT_BYTES {
        true => Ok(bytes),
        false => Err(CursorError::TooLong),
    }
}

fn read_slot(bytes: &[u8]) -> Option<Slot> {
    let (json, checksum) = str::from_utf8(bytes).ok()?.trim_end().rsplit_once(' ')?;
    let is_whole = u32::from_str_radix(checksum, 16).ok()? == crc32fast::hash(json.as_bytes());
    is_whole.then(|| serde_json::from_str(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(acknowledged: u64) -> Position {
        Position { log: "moot.keymoot.audit/1/00".to_owned(), acknowledged, sent: acknowledged + 5 }
    }

    #[tokio::test]
    async fn the_last_position_is_read_again_and_a_torn_write_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("siem");
        let mut cursor = Cursor::open(&path).unwrap();
        assert_eq!(cursor.found(), Found::Nothing);
        for number in 1..=4 {
            cursor.store(at(number)).await.unwrap();
        }
        drop(cursor);
        let cursor = Cursor::open(&path).unwrap();
        assert_eq!((cursor.position(), cursor.found()), (&at(4), Found::Stored));
        // The fourth write is in the first slot; each byte of it may be what the crash left.
        let sound = std::fs::read(&path).unwrap();
        assert_eq!(sound.len(), 2 * SLOT_BYTES);
        for cut in [0, 1, 60, 100] {
            let mut torn = sound.clone();
            torn[cut] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(Cursor::open(&path).unwrap().position(), &at(3), "{cut}");
        }
        let mut cursor = Cursor::open(&path).unwrap();
        cursor.store(at(9)).await.unwrap();
        assert_eq!(Cursor::open(&path).unwrap().position(), &at(9));
    }

    #[tokio::test]
    async fn what_is_damaged_or_of_tomorrow_is_never_read_as_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("siem");
        std::fs::write(&path, "nothing of ours").unwrap();
        assert_eq!(Cursor::open(&path).unwrap().found(), Found::Damage);
        let tomorrow = Slot { version: 2, write: 7, position: at(1) };
        std::fs::write(&path, written_slot(&tomorrow).unwrap()).unwrap();
        assert!(matches!(Cursor::open(&path), Err(CursorError::Version { version: 2 })));
        let long = Position { log: "l".repeat(SLOT_BYTES), ..Position::default() };
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Cursor::open(&path).unwrap().store(long).await, Err(CursorError::TooLong)));
    }
}
