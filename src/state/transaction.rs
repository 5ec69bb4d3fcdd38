//! One applied run: reads through to the tables, sees its own writes, keeps the digest.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{self, Kind};

use super::digest::Digest;
use super::layout::{META_DIGEST, Table};
use super::tables::{Pair, StateError, Tables};

/// A pair as the run found it and as it leaves it.
struct Cell {
    before: Option<Vec<u8>>,
    now: Option<Vec<u8>>,
}

/// A write to make: the value, or `None` to delete.
pub struct Change {
    /// Which table.
    pub table: Table,
    /// The pair's key.
    pub key: Vec<u8>,
    /// The pair's new value, or `None`.
    pub value: Option<Vec<u8>>,
}

/// A run of proposals applied together. Nothing reaches the tables before [`Self::finish`].
pub struct Transaction<'a, T> {
    tables: &'a T,
    cells: RefCell<BTreeMap<(Table, Vec<u8>), Cell>>,
}

impl<'a, T: Tables> Transaction<'a, T> {
    /// Begins a run on the state that `tables` hold.
    pub fn new(tables: &'a T) -> Self {
        Self { tables, cells: RefCell::new(BTreeMap::new()) }
    }

    pub(super) fn get<V: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<V>, StateError> {
        match self.bytes(table, key)? {
            Some(bytes) => Ok(Some(decode(table, &bytes)?)),
            None => Ok(None),
        }
    }

    pub(super) fn put<V: Serialize>(
        &mut self,
        table: Table,
        key: &[u8],
        value: &V,
    ) -> Result<(), StateError> {
        let value = codec::encode(Kind::Record, value)
            .map_err(|source| StateError::Record { table: table.name(), source })?;
        self.set(table, key, Some(value))
    }

    pub(super) fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StateError> {
        self.set(table, key, None)
    }

    /// The pairs of `prefix` as this run sees them.
    pub(super) fn prefix(&self, table: Table, prefix: &[u8]) -> Result<Vec<Pair>, StateError> {
        let mut pairs: BTreeMap<_, _> = self.tables.prefix(table, prefix)?.into_iter().collect();
        for ((of, key), cell) in self.cells.borrow().iter() {
            if *of == table && key.starts_with(prefix) {
                match &cell.now {
                    Some(value) => pairs.insert(key.clone(), value.clone()),
                    None => pairs.remove(key),
                };
            }
        }
        Ok(pairs.into_iter().collect())
    }

    /// Ends the run: the writes to make, the digest among them, and the digest itself.
    ///
    /// # Errors
    /// When the digest kept so far cannot be read.
    pub fn finish(mut self) -> Result<(Vec<Change>, Digest), StateError> {
        let mut digest: Digest = self.get(Table::Meta, META_DIGEST)?.unwrap_or_default();
        let cells = std::mem::take(self.cells.get_mut());
        let mut changes = Vec::with_capacity(cells.len() + 1);
        for ((table, key), cell) in cells {
            if cell.before == cell.now {
                continue;
            }
            if let Some(before) = &cell.before {
                digest.remove(table, &key, before);
            }
            if let Some(now) = &cell.now {
                digest.add(table, &key, now);
            }
            changes.push(Change { table, key, value: cell.now });
        }
        let value = codec::encode(Kind::Record, &digest)
            .map_err(|source| StateError::Record { table: Table::Meta.name(), source })?;
        changes.push(Change { table: Table::Meta, key: META_DIGEST.to_vec(), value: Some(value) });
        Ok((changes, digest))
    }

    fn bytes(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        if let Some(cell) = self.cells.borrow().get(&(table, key.to_vec())) {
            return Ok(cell.now.clone());
        }
        let found = self.tables.get(table, key)?;
        let cell = Cell { before: found.clone(), now: found.clone() };
        self.cells.borrow_mut().insert((table, key.to_vec()), cell);
        Ok(found)
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) -> Result<(), StateError> {
        // The digest needs what stood there before.
        self.bytes(table, key)?;
        if let Some(cell) = self.cells.get_mut().get_mut(&(table, key.to_vec())) {
            cell.now = value;
        }
        Ok(())
    }
}

pub(super) fn decode<V: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<V, StateError> {
    codec::decode(Kind::Record, bytes).map_err(|source| StateError::Record { table: table.name(), source })
}
