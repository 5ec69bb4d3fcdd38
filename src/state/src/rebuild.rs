//! What is changed in a state that is rebuilt while no cluster runs on it: by a restore or a recovery.

use super::layout::META_AUTHORITY;
use super::record::AuthorityRecord;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// Forgets the cluster's certificate authority, so that the rebuilt cluster can be given another one.
///
/// # Errors
/// When the tables cannot be read.
pub fn forget_authority<T: Tables>(run: &mut Transaction<'_, T>) -> Result<(), StateError> {
    run.delete(Table::Meta, META_AUTHORITY)
}

/// The cluster's certificate authority, if this record of a state is that.
///
/// # Errors
/// When the record does not decode.
pub fn authority_in(table: Table, key: &[u8], value: &[u8]) -> Result<Option<AuthorityRecord>, StateError> {
    match table {
        Table::Meta if key == META_AUTHORITY => decode(table, value).map(Some),
        _ => Ok(None),
    }
}
