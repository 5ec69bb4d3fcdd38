//! What a state directory must hold, checked before the engine opens it.
//!
//! The engine takes a table whose `current` file is gone for one that was never finished, and deletes it with
//! all its files; without the `current` of its own list of tables it deletes every table; and it begins a
//! missing journal anew, and reads an emptied one as new. So a note beside the engine's files names the
//! directory of each table, and a batch that the journal holds. The rest of the journal may be lost as a
//! whole: all tables then go back to the same batch, and the Raft log brings the others again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use fjall::{AbstractTree as _, Keyspace};
use serde::{Deserialize, Serialize};

use super::journal;
use crate::{StoreError, durable};

const NOTE: &str = "inventory";
/// The engine's file with the version of its format.
const VERSION: &str = "version";
const LOCK: &str = "lock";
const VERSION_MAGIC: [u8; 3] = *b"FJL";
const VERSION_KNOWN: u8 = 3;
/// The directory of the engine's own list of tables.
const LIST_OF_TABLES: u64 = 0;

/// The note. A directory of an earlier build has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inventory {
    /// The number of each table's directory.
    tables: BTreeMap<String, u64>,
    /// A batch of the journal that is on the disk and may not be in table files.
    journal: Option<Journaled>,
}

/// A batch, and the oldest journal file that existed when it was noted. The batch is in that file or a later
/// one. Files are removed oldest first, once all their batches are in table files: without that file, the
/// batch may be in table files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Journaled {
    file: u64,
    seqno: u64,
}

impl Inventory {
    /// The note in `dir`, whose files are all there and in formats that this build knows.
    ///
    /// # Errors
    /// [`StoreError::TablesIncomplete`] or [`StoreError::UnknownFormat`], with nothing changed; an I/O error.
    pub(super) fn check(dir: &Path) -> Result<Self, StoreError> {
        refuse_other_version(&dir.join(VERSION))?;
        // An empty file that the engine locks, and refuses to open without.
        durable::open_file(&dir.join(LOCK))?;
        let inventory = Self::read(&dir.join(NOTE))?;
        for directory in inventory.tables.values().copied().chain([LIST_OF_TABLES]) {
            refuse_unlisted(&dir.join("keyspaces").join(directory.to_string()))?;
        }
        let journals = journal::numbers(dir)?;
        let missing = |number: u64| Err(incomplete(&journal::file(dir, number)));
        let Some(newest) = journals.last() else {
            return missing(inventory.journal.map_or(0, |noted| noted.file));
        };
        if let Some(noted) = inventory.journal.filter(|noted| noted.file > *newest) {
            return missing(noted.file);
        }
        match journals.array_windows().find(|[one, next]| one.saturating_add(1) != *next) {
            Some([before, _]) => missing(before.saturating_add(1)),
            None => Ok(inventory),
        }
    }

    fn read(path: &Path) -> Result<Self, StoreError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let is_whole = |inventory: &Self| !inventory.tables.is_empty();
        let inventory = toml::from_str(&text).ok().filter(is_whole);
        inventory.ok_or_else(|| StoreError::TablesDamaged { file: path.to_owned(), offset: 0 })
    }

    /// The file of a journal that must hold a later batch than `last`, its last whole one.
    pub(super) fn lacks_batches(&self, dir: &Path, last: Option<u64>) -> Option<PathBuf> {
        let noted = self.journal.filter(|noted| last.is_none_or(|last| last < noted.seqno))?;
        Some(journal::file(dir, noted.file)).filter(|file| file.exists())
    }

    /// Notes the directories of the tables. Until a note can be written, the one before is as true.
    pub(super) fn note_tables(&mut self, dir: &Path, names: &[&str], keyspaces: &[Keyspace]) {
        let number = |table: &Keyspace| table.path().file_name()?.to_str()?.parse().ok();
        let named = names.iter().zip(keyspaces);
        let tables = named.filter_map(|(name, table)| Some(((*name).to_owned(), number(table)?))).collect();
        if self.tables != tables {
            self.tables = tables;
            self.write(dir);
        }
    }

    /// The newest batch that may be in no table file. It is on the disk after the next sync.
    pub(super) fn journaled(dir: &Path, keyspaces: &[Keyspace]) -> Result<Journal, StoreError> {
        // The file first: a batch that comes meanwhile is in this file or a later one.
        let oldest = journal::numbers(dir)?.first().copied();
        let seqno = keyspaces.iter().filter_map(|table| table.tree.get_highest_memtable_seqno()).max();
        Ok(Journal(oldest.zip(seqno).map(|(file, seqno)| Journaled { file, seqno })))
    }

    /// Notes a batch that has been synced.
    pub(super) fn note_journal(&mut self, dir: &Path, Journal(journaled): Journal) {
        if self.journal != journaled {
            self.journal = journaled;
            self.write(dir);
        }
    }

    fn write(&self, dir: &Path) {
        let path = dir.join(NOTE);
        let written = toml::to_string(self)
            .map_err(|error| StoreError::io("write", &path)(io::Error::new(ErrorKind::InvalidData, error)))
            .and_then(|text| durable::write_file(&path, text.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, "the tables' inventory is not renewed");
        }
    }
}

/// What of the journal is to be noted once it is synced.
pub(super) struct Journal(Option<Journaled>);

fn incomplete(file: &Path) -> StoreError {
    StoreError::TablesIncomplete { file: file.to_owned() }
}

fn refuse_other_version(path: &Path) -> Result<(), StoreError> {
    let bytes = read_needed(path)?;
    match bytes.as_slice() {
        [a, b, c, VERSION_KNOWN] if [*a, *b, *c] == VERSION_MAGIC => Ok(()),
        [a, b, c, found, ..] if [*a, *b, *c] == VERSION_MAGIC => Err(StoreError::UnknownFormat {
            file: path.to_owned(),
            found: u64::from(*found),
            known: u64::from(VERSION_KNOWN),
        }),
        _ => Err(StoreError::TablesDamaged { file: path.to_owned(), offset: 0 }),
    }
}

/// Refuses a table's directory without the file that names its list of files, or without that list.
fn refuse_unlisted(table: &Path) -> Result<(), StoreError> {
    let current = table.join("current");
    let bytes = read_needed(&current)?;
    let Some((version, _)) = bytes.split_first_chunk() else {
        return Err(StoreError::TablesDamaged { file: current, offset: 0 });
    };
    read_needed(&table.join(format!("v{}", u64::from_le_bytes(*version)))).map(drop)
}

/// The bytes of a small file, which must be there and not be empty.
fn read_needed(path: &Path) -> Result<Vec<u8>, StoreError> {
    match fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Err(incomplete(path)),
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(incomplete(path)),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// An empty file of a table: the engine refuses it without naming it.
pub(super) fn find_empty(dir: &Path) -> Option<PathBuf> {
    fs::read_dir(dir).ok()?.filter_map(Result::ok).find_map(|entry| {
        let path = entry.path();
        let kind = entry.metadata().ok()?;
        if kind.is_dir() { find_empty(&path) } else { (kind.len() == 0).then_some(path) }
    })
}
