//! Access to the bytes of the state, and its errors.

use serde::de::DeserializeOwned;

use super::table::Table;
use super::transaction::decode;

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Read access to the tables of the state at one point of the log.
pub trait Tables {
    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError>;

    /// All pairs whose key begins with `prefix`, in key order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn prefix(&self, table: Table, prefix: &[u8]) -> Result<Vec<Pair>, StateError>;

    /// At most `limit` pairs whose key begins with `prefix` and comes after `after`, in key order.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn page(&self, table: Table, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Pair>, StateError>;

    /// Called with a record that does not decode: it cannot be what was written.
    fn note_damage(&self, _error: &StateError) {}
}

/// A record as it was read.
pub(super) fn read<V: DeserializeOwned, T: Tables>(
    tables: &T,
    table: Table,
    bytes: &[u8],
) -> Result<V, StateError> {
    decode(table, bytes).inspect_err(|error| tables.note_damage(error))
}

/// The state could not be read. Fatal to a node: its state may differ from what it applied.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot read the state's tables")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A record does not decode.
    #[error("a record of table {table} does not decode")]
    Record {
        table: &'static str,
        #[source]
        source: keymoot_codec::CodecError,
    },
    /// A key that is never written.
    #[error("table {table} holds a key that nobody writes")]
    Key { table: &'static str },
    /// An index points at a missing record.
    #[error("table {table} points at a record that is not there")]
    Dangling { table: &'static str },
}
