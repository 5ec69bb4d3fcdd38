//! The applied state of this node, for reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keymoot_state::{StateError, Table, Tables};
use keymoot_store as store;

/// Reads the tables as they are at this moment. Cheap to clone.
#[derive(Clone)]
pub struct StateView {
    tables: store::Tables,
    account_changes: Arc<AtomicU64>,
    /// Whether what is read stays in memory for who reads it next.
    keeps: bool,
}

impl StateView {
    pub(crate) fn new(tables: store::Tables) -> Self {
        Self { tables, account_changes: Arc::new(AtomicU64::new(1)), keeps: true }
    }

    /// A number that is another one after any account has changed; for caches.
    pub fn account_changes(&self) -> u64 {
        self.account_changes.load(Ordering::Acquire)
    }

    /// What was found that is not as it was written, if anything was.
    pub(crate) fn damage(&self) -> Option<String> {
        self.tables.damage()
    }

    /// Everything as it is at this moment, with what the cluster keeps beside the state.
    pub(crate) fn view(&self) -> store::View {
        self.tables.view()
    }

    /// The same for whoever applies the log: it reads what it is about to change, or makes sure that something
    /// is not there, and so leaves no trace in memory that readers would have no use for.
    pub(crate) fn of_applier(&self) -> Self {
        Self { keeps: false, ..self.clone() }
    }

    /// To be called after a change of accounts is readable.
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
            // A mark from elsewhere may lie behind the prefix.
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
