//! One state directory, open: the engine and its tables, tuned for reads of single records.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use fjall::AbstractTree as _;
use fjall::config::{
    BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry, HashRatioPolicy, PinningPolicy,
};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rustix::process::{Resource, getrlimit};

use super::hot::HotRecords;
use super::{TablesOptions, Value, backlog, damage, inventory, inventory::Inventory, journal::Cut};
use crate::StoreError;

/// The most files that the tables of one state directory keep open, given the process's limit. Two state
/// directories are open while a snapshot is installed.
pub fn files_max(limit: Option<u64>) -> usize {
    const MOST: usize = 900;
    limit.and_then(|limit| usize::try_from(limit / 8).ok()).unwrap_or(MOST).min(MOST)
}

/// The open tables of one state directory.
pub(super) struct Generation {
    // Declared before the engine, because fields are dropped in this order.
    keyspaces: Vec<Keyspace>,
    db: Database,
    names: &'static [&'static str],
    path: PathBuf,
    number: u64,
    hot: HotRecords,
    /// The state after the last batch, for new views.
    published: ArcSwap<fjall::Snapshot>,
    /// Bytes written since the memory of the tables was last sealed.
    unsealed_bytes: AtomicU64,
    /// Whether memory that was recovered may still be sealed and not in files.
    recovering: AtomicBool,
    inventory: Mutex<Inventory>,
    /// The first damage found.
    damage: OnceLock<String>,
}

impl Generation {
    /// Opens or creates the tables in `path`.
    pub(super) fn open(
        path: PathBuf,
        names: &'static [&'static str],
        options: TablesOptions,
    ) -> Result<Self, StoreError> {
        let (mut inventory, cut) = check(&path)?;
        let (db, keyspaces) = open_engine(&path, names, options).map_err(|error| unopened(&path, error))?;
        if let Some(cut) = cut {
            let in_files = keyspaces.iter().filter_map(|table| table.tree.get_highest_persisted_seqno());
            cut.settle(&path, in_files.max())?;
        }
        inventory.note_tables(&path, names, &keyspaces);
        let inventory = Mutex::new(inventory);
        let unsealed_bytes = keyspaces.iter().map(|table| table.tree.active_memtable().size()).sum();
        let unsealed_bytes = AtomicU64::new(unsealed_bytes);
        let hot = HotRecords::new(options.hot_bytes);
        let published = ArcSwap::from_pointee(db.snapshot());
        let (recovering, damage) = (AtomicBool::new(true), OnceLock::new());
        Ok(Self {
            keyspaces,
            db,
            names,
            path,
            number: 0,
            hot,
            published,
            unsealed_bytes,
            recovering,
            inventory,
            damage,
        })
    }

    /// Shows everything written so far to new views. No write may run meanwhile.
    ///
    /// The engine publishes the numbers of its flushes and compactions at any time, also when a batch with a
    /// lower number is half-way in memory. A snapshot that is opened then holds a part of that batch, so
    /// snapshots are opened between batches only.
    pub(super) fn publish(&self) {
        self.published.store(Arc::new(self.db.snapshot()));
    }

    /// The state after the last batch.
    pub(super) fn published(&self) -> Arc<fjall::Snapshot> {
        self.published.load_full()
    }

    /// Sets the number of the directory.
    pub(super) fn numbered(mut self, number: u64) -> Self {
        self.number = number;
        self
    }

    /// Syncs everything and closes. `doing` names the operation in the error.
    pub(super) fn close(self, doing: &'static str) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncAll).map_err(StoreError::tables(doing, &self.path))
    }

    pub(super) fn get(&self, table: usize, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.hot.get(table, key, || self.read(table, key))
    }

    pub(super) fn get_once(&self, table: usize, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.hot.get_once(table, key, || self.read(table, key))
    }

    fn read(&self, table: usize, key: &[u8]) -> Result<Option<Value>, StoreError> {
        // The engine accepts no empty key, and no record has one.
        if key.is_empty() {
            return Ok(None);
        }
        let found = self.keyspace(table)?.get(key).map_err(|error| self.unreadable(error))?;
        Ok(found.map(Value))
    }

    /// The error of a failed read. It is noted as damage, unless its cause is not the stored data.
    pub(super) fn unreadable(&self, error: fjall::Error) -> StoreError {
        let (passes, why) = (damage::passes(&error), error.to_string());
        let error = StoreError::tables("read", &self.path)(error);
        if !passes {
            self.note_damage(|| format!("{error}: {why}"));
        }
        error
    }

    /// Notes damage; only the first note is kept.
    pub(super) fn note_damage(&self, what: impl FnOnce() -> String) {
        self.damage.get_or_init(what);
    }

    pub(super) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// The cache of recently read records.
    pub(super) const fn hot(&self) -> &HotRecords {
        &self.hot
    }

    pub(super) fn persist(&self) -> Result<(), StoreError> {
        let journaled = Inventory::journaled(&self.path, &self.keyspaces)?;
        self.db.persist(PersistMode::SyncAll).map_err(StoreError::tables("sync", &self.path))?;
        let mut inventory = self.inventory.lock().unwrap_or_else(PoisonError::into_inner);
        inventory.note_journal(&self.path, journaled);
        Ok(())
    }

    /// Counts a written batch of `bytes`. At `bytes_max` in total it seals the memory of all tables, which is
    /// then written to files. No other write may run meanwhile.
    ///
    /// The engine alone would seal each table separately, and could write one to a file before the journal
    /// with the same batches is synced: after a power cut the tables would disagree.
    pub(super) fn written(&self, bytes: u64, bytes_max: u64) -> Result<(), StoreError> {
        if self.unsealed_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) < bytes_max {
            return Ok(());
        }
        self.persist()?;
        backlog::wait(self)?;
        for table in &self.keyspaces {
            table.rotate_memtable().map_err(StoreError::tables("write", &self.path))?;
        }
        self.unsealed_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until the memory that was recovered is in files, so far as the next batch needs it.
    pub(super) fn await_recovered(&self) -> Result<(), StoreError> {
        if self.recovering.load(Ordering::Relaxed) {
            backlog::wait(self)?;
            self.recovering.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Refuses an engine that accepts no more writes, because one has failed.
    pub(super) fn refuse_stopped(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::Buffer).map_err(StoreError::tables("write", &self.path))
    }

    pub(super) fn keyspaces(&self) -> &[Keyspace] {
        &self.keyspaces
    }

    pub(super) fn keyspace(&self, table: usize) -> Result<&Keyspace, StoreError> {
        self.keyspaces.get(table).ok_or(StoreError::NoTable { table, tables: self.keyspaces.len() })
    }

    pub(super) const fn db(&self) -> &Database {
        &self.db
    }

    pub(super) const fn names(&self) -> &'static [&'static str] {
        self.names
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

/// Checks what is in `path` before the engine changes it. A new directory is empty, or not there yet.
fn check(path: &Path) -> Result<(Inventory, Option<Cut>), StoreError> {
    if !path.is_dir() || fs::read_dir(path).map_err(StoreError::io("read", path))?.next().is_none() {
        return Ok((Inventory::default(), None));
    }
    let inventory = Inventory::check(path)?;
    let cut = Cut::make(path, &inventory)?;
    Ok((inventory, cut))
}

fn open_engine(
    path: &Path,
    names: &[&str],
    options: TablesOptions,
) -> Result<(Database, Vec<Keyspace>), fjall::Error> {
    let db = Database::builder(path)
        .cache_size(options.cache_bytes)
        .max_cached_files(Some(files_max(getrlimit(Resource::Nofile).current)))
        .open()?;
    let keyspaces = names.iter().map(|name| db.keyspace(name, tuning)).collect::<Result<_, _>>()?;
    Ok((db, keyspaces))
}

/// The error of an engine that did not open. It names no file itself.
fn unopened(path: &Path, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(_) | fjall::Error::Storage(_) if !damage::passes(&error) => {
            match inventory::find_empty(&path.join("keyspaces")) {
                Some(file) => StoreError::TablesIncomplete { file },
                None => StoreError::TablesUnopened { path: path.to_owned(), source: error },
            }
        }
        error => StoreError::tables("open", path)(error),
    }
}

/// Records are small, read one at a time by random keys, and often missing, so there are filters on every
/// level, kept in memory with the indexes, and a hash index inside each block. There is no compression,
/// because ciphertext does not shrink.
///
/// The engine itself seals no table, see [`Generation::written`].
fn tuning() -> KeyspaceCreateOptions {
    let bloom = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0));
    KeyspaceCreateOptions::default()
        .max_memtable_size(u64::MAX)
        .filter_policy(FilterPolicy::all(bloom))
        .filter_block_pinning_policy(PinningPolicy::all(true))
        .index_block_pinning_policy(PinningPolicy::all(true))
        .data_block_hash_ratio_policy(HashRatioPolicy::all(0.75))
}
