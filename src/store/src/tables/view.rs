//! A consistent view of all tables.

use std::path::Path;
use std::sync::Arc;

use fjall::Readable;

use super::{Value, generation::Generation};
use crate::StoreError;

/// All tables at one moment. It is cheap to make, and keeps overwritten records from being freed while it
/// lives.
#[derive(Clone)]
pub struct View {
    snapshot: Arc<fjall::Snapshot>,
    generation: Arc<Generation>,
}

impl View {
    pub(super) fn of(generation: Arc<Generation>) -> Self {
        Self { snapshot: generation.published(), generation }
    }

    pub fn tables(&self) -> &'static [&'static str] {
        self.generation.names()
    }

    /// The value at `key`.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] for an unknown table, [`StoreError::Tables`] when the engine fails.
    pub fn get(&self, table: usize, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let keyspace = self.generation.keyspace(table)?;
        if key.is_empty() {
            return Ok(None);
        }
        let found = self.snapshot.get(keyspace, key).map_err(|error| self.generation.unreadable(error))?;
        Ok(found.map(Value))
    }

    /// Every record of a table, in key order.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] for an unknown table.
    pub fn iter(&self, table: usize) -> Result<TableIter, StoreError> {
        Ok(self.records(self.snapshot.iter(self.generation.keyspace(table)?)))
    }

    /// The records of a table whose keys begin with `prefix`, in key order.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] for an unknown table.
    pub fn prefix(&self, table: usize, prefix: &[u8]) -> Result<TableIter, StoreError> {
        if prefix.is_empty() {
            return self.iter(table);
        }
        Ok(self.records(self.snapshot.prefix(self.generation.keyspace(table)?, prefix)))
    }

    /// The records of a table with `from` and the keys after it, in key order.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] for an unknown table.
    pub fn starting_at(&self, table: usize, from: &[u8]) -> Result<TableIter, StoreError> {
        Ok(self.records(self.snapshot.range(self.generation.keyspace(table)?, from..)))
    }

    /// The directory that the view reads from.
    pub(crate) fn path(&self) -> &Path {
        self.generation.path()
    }

    fn records(&self, iter: fjall::Iter) -> TableIter {
        TableIter { iter, generation: Arc::clone(&self.generation) }
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// Records in key order.
pub struct TableIter {
    iter: fjall::Iter,
    generation: Arc<Generation>,
}

impl Iterator for TableIter {
    type Item = Result<(Value, Value), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.iter.next()?.into_inner();
        Some(match record {
            Ok((key, value)) => Ok((Value(key), Value(value))),
            Err(error) => Err(self.generation.unreadable(error)),
        })
    }
}

impl std::fmt::Debug for TableIter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableIter").field("path", &self.generation.path()).finish_non_exhaustive()
    }
}
