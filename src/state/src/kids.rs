//! The index of key ids: which version of which track a key id names.
//!
//! From feature level 4 on a key id is its account's own: two accounts may have the same one, and neither learns of
//! the other's. Before, all accounts shared one name space, so that whoever took a key id kept it from all others.
//! Entries from then stay where they are, and are found for their own account only.

use keymoot_model::{AccountId, KeyRecord, Kid};

use super::features::{KIDS_BY_ACCOUNT, level};
use super::layout::{account_kid_key, kid_key};
use super::query::{get, key_at};
use super::record::KidRecord;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// The account's key of a key id, in any version.
///
/// # Errors
/// When the tables cannot be read.
pub fn key_by_kid<T: Tables>(
    tables: &T,
    account: &AccountId,
    kid: &Kid,
) -> Result<Option<KeyRecord>, StateError> {
    let own = get::<KidRecord, T>(tables, Table::Kids, &account_kid_key(account, kid))?;
    let found = match own {
        Some(at) => Some(at),
        None => get(tables, Table::Kids, kid_key(kid))?.filter(|at: &KidRecord| at.place.account == *account),
    };
    found.map(|at| key_at(&Transaction::new(tables), &at)).transpose()
}

/// What keeps a key id from being used by the account: its own use of it, or before [`KIDS_BY_ACCOUNT`] anybody's.
pub(super) fn taken<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    kid: &Kid,
) -> Result<Option<KidRecord>, StateError> {
    if level(run)? < KIDS_BY_ACCOUNT {
        return run.get(Table::Kids, kid_key(kid));
    }
    find(run, account, kid)
}

/// Where the account's key of a key id is.
pub(super) fn find<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    kid: &Kid,
) -> Result<Option<KidRecord>, StateError> {
    match run.get(Table::Kids, &account_kid_key(account, kid))? {
        Some(at) => Ok(Some(at)),
        None => Ok(from_before(run, account, kid)?),
    }
}

/// Notes where a key is.
pub(super) fn put<T: Tables>(
    run: &mut Transaction<'_, T>,
    kid: &Kid,
    at: &KidRecord,
) -> Result<(), StateError> {
    match level(run)? {
        KIDS_BY_ACCOUNT.. => run.put(Table::Kids, &account_kid_key(&at.place.account, kid), at),
        _ => run.put(Table::Kids, kid_key(kid), at),
    }
}

/// Forgets where the account's key of a key id was.
pub(super) fn delete<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    kid: &Kid,
) -> Result<(), StateError> {
    let own = account_kid_key(account, kid);
    if run.get::<KidRecord>(Table::Kids, &own)?.is_some() {
        return run.delete(Table::Kids, &own);
    }
    match from_before(run, account, kid)? {
        Some(_) => run.delete(Table::Kids, kid_key(kid)),
        None => Ok(()),
    }
}

/// An entry of the name space that all accounts shared, if it is this account's.
fn from_before<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    kid: &Kid,
) -> Result<Option<KidRecord>, StateError> {
    let at: Option<KidRecord> = run.get(Table::Kids, kid_key(kid))?;
    Ok(at.filter(|at| at.place.account == *account))
}
