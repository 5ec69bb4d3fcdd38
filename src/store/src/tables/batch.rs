//! Changes that are applied together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{KEY_BYTES_MAX, Value, generation::Generation};
use crate::StoreError;

/// The changes of a batch to one table: new values, and `None` for a removed key.
type Changes = BTreeMap<Value, Option<Value>>;

/// Changes that become visible together. A batch that is dropped without [`commit`](super::Tables::commit)
/// has no effect.
pub struct WriteBatch {
    generation: Arc<Generation>,
    changes: Vec<Changes>,
}

impl WriteBatch {
    pub(super) fn new(generation: Arc<Generation>) -> Self {
        let changes = generation.names().iter().map(|_name| Changes::new()).collect();
        Self { generation, changes }
    }

    /// Sets the value at `key`.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] for an unknown table, [`StoreError::Key`] for an empty or too long key.
    pub fn put(
        &mut self,
        table: usize,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), StoreError> {
        self.change(table, key.as_ref(), Some(Value(value.as_ref().into())))
    }

    /// Removes `key`, whether or not it exists.
    ///
    /// # Errors
    /// [`StoreError::NoTable`] for an unknown table, [`StoreError::Key`] for an empty or too long key.
    pub fn delete(&mut self, table: usize, key: impl AsRef<[u8]>) -> Result<(), StoreError> {
        self.change(table, key.as_ref(), None)
    }

    /// The number of changed keys.
    pub fn len(&self) -> usize {
        self.changes.iter().map(BTreeMap::len).sum()
    }

    /// Whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(BTreeMap::is_empty)
    }

    pub(super) fn is_of(&self, generation: &Arc<Generation>) -> bool {
        Arc::ptr_eq(&self.generation, generation)
    }

    /// Applies the batch. Returns the bytes of its keys and values.
    pub(super) fn apply(self) -> Result<u64, StoreError> {
        let mut bytes = 0;
        let mut changed = Vec::with_capacity(self.len());
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.generation.db().clone(), self.len())
            .durability(Some(fjall::PersistMode::Buffer));
        for (table, changes) in self.changes.into_iter().enumerate() {
            let keyspace = self.generation.keyspace(table)?;
            for (Value(key), value) in changes {
                // Lossless: a `usize` has at most 64 bits on every supported target.
                bytes += (key.len() + value.as_ref().map_or(0, |value| value.len())) as u64;
                changed.push((table, key.clone()));
                match value {
                    Some(Value(value)) => batch.insert(keyspace, key, value),
                    None => batch.remove(keyspace, key),
                }
            }
        }
        batch.commit().map_err(StoreError::tables("write", self.generation.path()))?;
        for (table, key) in changed {
            self.generation.hot().forget(table, &key);
        }
        Ok(bytes)
    }

    fn change(&mut self, table: usize, key: &[u8], value: Option<Value>) -> Result<(), StoreError> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(StoreError::Key { bytes: key.len(), bytes_max: KEY_BYTES_MAX });
        }
        let tables = self.changes.len();
        let changes = self.changes.get_mut(table).ok_or(StoreError::NoTable { table, tables })?;
        changes.insert(Value(key.into()), value);
        Ok(())
    }
}

impl std::fmt::Debug for WriteBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WriteBatch({} keys)", self.len())
    }
}
