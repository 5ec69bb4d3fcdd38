//! The tables of the replicated state: ordered keys and values, read by many, written by one.
//!
//! Built on the storage engine fjall. Invariants: a batch is applied whole or not at all, across all tables;
//! a [`View`] never changes, and is the state after some batch; a replacement by a snapshot is built beside the live tables and becomes live in
//! one step, on the disk and in memory, so that a crash at any point leaves the old tables or the new ones.
//! Readers take no lock.
//!
//! A commit is not synced: the Raft log is the write-ahead log. [`Tables::persist`] syncs, and is called
//! before the log is purged. After a power cut the tables are those of some commit, the last synced one or a
//! later one: the journal is cut after its last whole batch, and no table is written to a file before the
//! journal that holds the same batches is synced. A directory that lacks one of its files is refused.
//!
//! A read that finds other data than was written fails, and is noted for [`Tables::damage`]. An unreadable
//! record never counts as absent.

mod backlog;
mod batch;
mod damage;
mod generation;
mod hot;
mod inventory;
mod journal;
mod replace;
#[cfg(test)]
mod tests;
mod view;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::{SnapshotReader, StoreError, durable, states::States};
use generation::Generation;
pub use generation::files_max;

pub use batch::WriteBatch;
pub use view::{TableIter, View};

/// The longest key that is stored, in bytes.
pub const KEY_BYTES_MAX: usize = u16::MAX as usize;

/// Settings of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TablesOptions {
    /// Memory for blocks read from the disk, shared by all tables.
    pub cache_bytes: u64,
    /// Memory for the cache of recently read records.
    pub hot_bytes: u64,
    /// The bytes that all tables together collect in memory before they write files.
    pub write_buffer_bytes: u64,
}

impl Default for TablesOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 256 * 1024 * 1024,
            hot_bytes: 32 * 1024 * 1024,
            write_buffer_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Stored bytes, shared and not copied.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(fjall::Slice);

impl std::ops::Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for Value {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Logs never show stored bytes, not even wrapped keys.
        write!(f, "Value({} bytes)", self.0.len())
    }
}

/// A handle to the open tables. Clones share them; they close with the last handle, view and batch.
#[derive(Clone)]
pub struct Tables {
    shared: Arc<Shared>,
}

struct Shared {
    names: &'static [&'static str],
    options: TablesOptions,
    states: States,
    live: ArcSwap<Generation>,
    /// Held while a batch is applied or a replacement becomes live.
    writer: Mutex<()>,
}

impl Tables {
    /// Opens the live state directory under `root`, a data directory; creates the first when there is none.
    /// Tables are identified by their index in `names`.
    ///
    /// # Errors
    /// [`StoreError::Current`] when the live state cannot be determined, [`StoreError::Tables`] when it
    /// cannot be opened, otherwise an I/O error.
    pub fn open(
        root: &Path,
        names: &'static [&'static str],
        options: TablesOptions,
    ) -> Result<Self, StoreError> {
        durable::create_directory(root)?;
        let states = States::new(root);
        let live = match states.live()? {
            Some(live) => live,
            None => {
                let unfinished = states.begin(1)?;
                Generation::open(unfinished.clone(), names, options)?.close("create")?;
                states.complete_as(&unfinished, 1)?;
                1
            }
        };
        states.switch(live)?;
        states.sweep(Some(live))?;
        let generation = Generation::open(states.path(live), names, options)?.numbered(live);
        let live = ArcSwap::from_pointee(generation);
        Ok(Self { shared: Arc::new(Shared { names, options, states, live, writer: Mutex::new(()) }) })
    }

    /// Creates the first state directory under `root` from the snapshot's records and opens it. The records
    /// are on the disk when this returns.
    ///
    /// # Errors
    /// As for [`open`](Self::open) and [`replace`](Self::replace); also when there is a state already.
    pub fn create_from(
        root: &Path,
        names: &'static [&'static str],
        options: TablesOptions,
        snapshot: &SnapshotReader,
    ) -> Result<Self, StoreError> {
        durable::create_directory(root)?;
        let states = States::new(root);
        if states.exist()? {
            let exists = std::io::ErrorKind::AlreadyExists.into();
            return Err(StoreError::io("make a first state in", root)(exists));
        }
        replace::create(&states, names, options, snapshot)?;
        Self::open(root, names, options)
    }

    pub fn names(&self) -> &'static [&'static str] {
        self.shared.names
    }

    /// The value at `key`. Two calls may see different moments; a [`View`] sees one.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] for an unknown table, [`StoreError::Tables`] when the engine fails.
    pub fn get(&self, table: usize, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.shared.live.load().get(table, key)
    }

    /// The same, without caching a record that will not be read again soon.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn get_once(&self, table: usize, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.shared.live.load().get_once(table, key)
    }

    /// At most `limit` records whose keys begin with `prefix`, in key order.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] for an unknown table, [`StoreError::Tables`] when the engine fails.
    pub fn prefix(
        &self,
        table: usize,
        prefix: &[u8],
        limit: usize,
    ) -> Result<Vec<(Value, Value)>, StoreError> {
        self.view().prefix(table, prefix)?.take(limit).collect()
    }

    /// The tables as of the last commit, for as long as the view lives. Cheap.
    pub fn view(&self) -> View {
        View::of(self.shared.live.load_full())
    }

    /// Starts a batch. Batches are for one writer: a batch does not see commits of another one, and may
    /// overwrite them.
    pub fn begin(&self) -> WriteBatch {
        WriteBatch::new(self.shared.live.load_full())
    }

    /// Applies a batch. When this returns, every reader sees all of it; until then no view shows any of it.
    /// It is on the disk after the next [`persist`](Self::persist).
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when the tables were replaced since the batch was started,
    /// [`StoreError::TablesStopped`] when earlier writes failed, [`StoreError::Tables`] when the engine fails.
    pub fn commit(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let _writer = self.lock_writer();
        if !batch.is_of(&self.shared.live.load()) {
            return Err(StoreError::Superseded);
        }
        let live = self.shared.live.load();
        live.await_recovered()?;
        let bytes = batch.apply()?;
        live.publish();
        live.written(bytes, self.shared.options.write_buffer_bytes)
    }

    /// Syncs everything committed so far to the disk.
    ///
    /// # Errors
    /// [`StoreError::Tables`] when the engine fails; the tables then accept no more writes until they are
    /// opened again.
    pub fn persist(&self) -> Result<(), StoreError> {
        self.shared.live.load_full().persist()
    }

    /// Replaces everything by the snapshot's records, durably. Readers see the old tables until the new ones
    /// are complete; views and batches started before keep the old ones. The old directory is removed when
    /// the last of them is gone.
    ///
    /// # Errors
    /// [`StoreError::OtherTables`] when the snapshot is of other tables, [`StoreError::Snapshot`]
    /// when it can no longer be read as it was verified, [`StoreError::Tables`] or an I/O error.
    /// The old tables are then still live.
    pub fn replace(&self, snapshot: &SnapshotReader) -> Result<(), StoreError> {
        let _writer = self.lock_writer();
        replace::replace(&self.shared, snapshot)
    }

    /// The first damage found in the live tables, if any. A replacement starts without damage.
    pub fn damage(&self) -> Option<String> {
        self.shared.live.load().damage().map(ToOwned::to_owned)
    }

    /// Notes that a record was read that cannot be what was written.
    pub fn note_damage(&self, what: &dyn std::fmt::Display) {
        let live = self.shared.live.load();
        live.note_damage(|| format!("the tables in {} are damaged: {what}", live.path().display()));
    }

    fn lock_writer(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data, so a panic cannot have left anything half-done.
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let live = self.shared.live.load();
        f.debug_struct("Tables").field("path", &live.path()).finish_non_exhaustive()
    }
}
