//! One applied run: it reads through to the tables, sees its own writes and keeps the digest.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;
use serde::de::DeserializeOwned;

use keymoot_codec as codec;
use keymoot_codec::Kind;

use super::digest::Digest;
use super::layout::{META_DIGEST, account_of_status};
use super::table::Table;
use super::tables::{Pair, StateError, Tables, read};

/// A pair as the run found it, and its new value once the run has written it.
struct Cell {
    before: Option<Vec<u8>>,
    written: Option<Option<Vec<u8>>>,
}

impl Cell {
    fn now(&self) -> Option<&[u8]> {
        self.written.as_ref().unwrap_or(&self.before).as_deref()
    }
}

/// A write to make: the value, or `None` to delete.
pub struct Change {
    pub table: Table,
    pub key: Vec<u8>,
    /// The new value; `None` deletes the pair.
    pub value: Option<Vec<u8>>,
}

impl Change {
    /// Whether it is of an account or of its status.
    pub fn is_of_account(&self) -> bool {
        match self.table {
            Table::Accounts => true,
            Table::Meta => account_of_status(&self.key).is_some(),
            _ => false,
        }
    }
}

/// A run of proposals applied together. Nothing reaches the tables before [`Self::finish`].
pub struct Transaction<'a, T> {
    tables: &'a T,
    cells: RefCell<BTreeMap<Table, BTreeMap<Vec<u8>, Cell>>>,
}

impl<'a, T: Tables> Transaction<'a, T> {
    /// Begins a run on the state that `tables` hold.
    pub fn new(tables: &'a T) -> Self {
        Self { tables, cells: RefCell::new(BTreeMap::new()) }
    }

    pub(super) fn get<V: DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<V>, StateError> {
        self.with_cell(table, key, |cell| {
            cell.now().map(|bytes| read(self.tables, table, bytes)).transpose()
        })?
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
        let cells = self.cells.borrow();
        let own = cells.get(&table).into_iter().flatten();
        for (key, cell) in own.filter(|(key, _)| key.starts_with(prefix)) {
            match cell.now() {
                Some(value) => pairs.insert(key.clone(), value.to_vec()),
                None => pairs.remove(key),
            };
        }
        Ok(pairs.into_iter().collect())
    }

    /// At most `limit` pairs of `prefix` after `after` as this run sees them, in key order.
    pub(super) fn page(
        &self,
        table: Table,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, StateError> {
        let mut page = Vec::new();
        let mut after = after.to_vec();
        loop {
            let stored = self.tables.page(table, prefix, &after, limit)?;
            // After the last pair of a full page there may be more pairs, not read yet.
            let last = stored.last().filter(|_| stored.len() >= limit).map(|(key, _)| key.clone());
            let mut pairs: BTreeMap<_, _> = stored.into_iter().collect();
            let cells = self.cells.borrow();
            let from =
                if after.as_slice() < prefix { Bound::Included(prefix) } else { Bound::Excluded(&*after) };
            let own =
                cells.get(&table).into_iter().flat_map(|own| own.range::<[u8], _>((from, Bound::Unbounded)));
            let is_near =
                |key: &Vec<u8>| key.starts_with(prefix) && last.as_ref().is_none_or(|last| key <= last);
            for (key, cell) in own.take_while(|(key, _)| is_near(key)) {
                match cell.now() {
                    Some(value) => pairs.insert(key.clone(), value.to_vec()),
                    None => pairs.remove(key),
                };
            }
            page.extend(pairs);
            match last {
                Some(last) if page.len() < limit => after = last,
                _ => break,
            }
        }
        page.truncate(limit);
        Ok(page)
    }

    /// Ends the run. Returns the writes, the digest among them, and the digest itself.
    ///
    /// # Errors
    /// When the digest kept so far cannot be read.
    pub fn finish(mut self) -> Result<(Vec<Change>, Digest), StateError> {
        let mut digest: Digest = self.get(Table::Meta, META_DIGEST)?.unwrap_or_default();
        let cells = std::mem::take(self.cells.get_mut());
        let mut changes = Vec::with_capacity(cells.values().map(BTreeMap::len).sum::<usize>() + 1);
        let cells =
            cells.into_iter().flat_map(|(table, cells)| cells.into_iter().map(move |cell| (table, cell)));
        for (table, (key, Cell { before, written })) in cells {
            let Some(value) = written.filter(|written| *written != before) else { continue };
            if let Some(before) = &before {
                digest.remove(table, &key, before);
            }
            if let Some(value) = &value {
                digest.add(table, &key, value);
            }
            changes.push(Change { table, key, value });
        }
        changes.push(stored_digest(digest)?);
        Ok((changes, digest))
    }

    /// Passes a pair to `look`; each pair is read from the tables once.
    fn with_cell<R>(&self, table: Table, key: &[u8], look: impl FnOnce(&Cell) -> R) -> Result<R, StateError> {
        let mut tables = self.cells.borrow_mut();
        let cells = tables.entry(table).or_default();
        if let Some(cell) = cells.get(key) {
            return Ok(look(cell));
        }
        let cell = Cell { before: self.tables.get(table, key)?, written: None };
        let seen = look(&cell);
        cells.insert(key.to_vec(), cell);
        Ok(seen)
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) -> Result<(), StateError> {
        // The digest needs the old value.
        self.with_cell(table, key, |_| ())?;
        if let Some(cell) = self.cells.get_mut().get_mut(&table).and_then(|cells| cells.get_mut(key)) {
            cell.written = Some(value);
        }
        Ok(())
    }
}

/// The write that stores the digest of a state in it.
///
/// # Errors
/// When the digest cannot be encoded.
pub fn stored_digest(digest: Digest) -> Result<Change, StateError> {
    let value = codec::encode(Kind::Record, &digest)
        .map_err(|source| StateError::Record { table: Table::Meta.name(), source })?;
    Ok(Change { table: Table::Meta, key: META_DIGEST.to_vec(), value: Some(value) })
}

pub(super) fn decode<V: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<V, StateError> {
    codec::decode(Kind::Record, bytes).map_err(|source| StateError::Record { table: table.name(), source })
}
