//! The applied state of this node, for readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keymoot_state::{StateError, Table, Tables};
use keymoot_store as store;

use crate::checkpoints::Checkpoints;

const _: () = assert!(keymoot_state::KEY_BYTES_MAX <= store::KEY_BYTES_MAX);

/// Reads the present tables. Cheap to clone.
#[derive(Clone)]
pub struct StateView {
    tables: store::Tables,
    account_changes: Arc<AtomicU64>,
    checkpoints: Checkpoints,
    /// Whether records that are read are cached for later readers.
    keeps: bool,
}

impl StateView {
    pub(crate) fn new(tables: store::Tables) -> Self {
        Self {
            tables,
            account_changes: Arc::new(AtomicU64::new(1)),
            checkpoints: Checkpoints::default(),
            keeps: true,
        }
    }

    /// A number that changes with any account; for caches.
    pub fn account_changes(&self) -> u64 {
        self.account_changes.load(Ordering::Acquire)
    }

    /// The damage that a read has met, if any.
    pub(crate) fn damage(&self) -> Option<String> {
        self.tables.damage()
    }

    /// The tables, for tests that alter them.
    #[cfg(test)]
    pub(crate) const fn tables(&self) -> &store::Tables {
        &self.tables
    }

    /// Notes that the records are not those that were written.
    pub(crate) fn note_wrong(&self, what: &str) {
        self.tables.note_damage(&what);
    }

    /// A consistent view of everything, with the cluster's own records beside the state.
    pub(crate) fn view(&self) -> store::View {
        self.tables.view()
    }

    /// The digests of the state after some of the last applied entries.
    pub(crate) const fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// A view for the code that applies the log. It does not fill the cache: it reads records that
    /// it is about to change, or that must not exist, and readers would not need either.
    pub(crate) fn of_applier(&self) -> Self {
        Self { keeps: false, ..self.clone() }
    }

    /// Tells caches of a change of accounts, after the change is readable.
    pub(crate) fn accounts_changed(&self) {
        self.account_changes.fetch_add(1, Ordering::AcqRel);
    }
}

fn unreadable(error: store::StoreError) -> StateError {
    StateError::Store(Box::new(error))
}

impl Tables for StateView {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let table = table as usize;
        let value = if self.keeps { self.tables.get(table, key) } else { self.tables.get_once(table, key) };
        Ok(value.map_err(unreadable)?.map(|value| value.to_vec()))
    }

    fn prefix(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StateError> {
        let pairs = self.tables.prefix(table as usize, prefix, usize::MAX).map_err(unreadable)?;
        Ok(pairs.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect())
    }

    fn page(
        &self,
        table: Table,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StateError> {
        let from = prefix.max(after);
        let records = self.tables.view().starting_at(table as usize, from).map_err(unreadable)?;
        let mut page = Vec::new();
        for record in records {
            let (key, value) = record.map_err(unreadable)?;
            // A mark from another prefix may lie behind this one.
            if page.len() == limit || !key.as_ref().starts_with(prefix) {
                break;
            }
            if key.as_ref() > after {
                page.push((key.to_vec(), value.to_vec()));
            }
        }
        Ok(page)
    }

    fn note_damage(&self, error: &StateError) {
        self.tables.note_damage(error);
    }
}
