//! What is changed in a state that is rebuilt while no cluster runs on it: by a restore or a recovery.

use keymoot_model::Account;

use super::accounts::{put_status, status_in};
use super::features::ACCOUNT_LIFE;
use super::layout::{META_AUTHORITY, META_AUTHORITY_CHANGE, META_IDENTITY};
use super::record::{AuthorityRecord, ClusterIdentity};
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// Forgets the cluster's certificate authority and its replacement, so that the rebuilt cluster can be given another one.
///
/// # Errors
/// When the tables cannot be read.
pub fn forget_authority<T: Tables>(run: &mut Transaction<'_, T>) -> Result<(), StateError> {
    run.delete(Table::Meta, META_AUTHORITY_CHANGE)?;
    run.delete(Table::Meta, META_AUTHORITY)
}

/// Suspends every account that a backup of `made_at_ms` brings back, until an operator confirms its credentials. Only a
/// program that knows of this may be a member then: the cluster is at that feature level.
///
/// # Errors
/// When the tables cannot be read.
pub fn suspend_restored<T: Tables>(
    run: &mut Transaction<'_, T>,
    accounts: &[Account],
    made_at_ms: u64,
) -> Result<(), StateError> {
    if accounts.is_empty() {
        return Ok(());
    }
    for account in accounts {
        let mut status = status_in(run, &account.id)?;
        status.restored_from_ms = Some(made_at_ms);
        put_status(run, &account.id, &status)?;
    }
    let identity: Option<ClusterIdentity> = run.get(Table::Meta, META_IDENTITY)?;
    if let Some(identity) = identity.filter(|identity| identity.feature_level < ACCOUNT_LIFE) {
        run.put(Table::Meta, META_IDENTITY, &ClusterIdentity { feature_level: ACCOUNT_LIFE, ..identity })?;
    }
    Ok(())
}

/// The account, if this record of a state is one.
///
/// # Errors
/// When the record does not decode.
pub fn account_in(table: Table, value: &[u8]) -> Result<Option<Account>, StateError> {
    match table {
        Table::Accounts => decode(table, value).map(Some),
        _ => Ok(None),
    }
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
