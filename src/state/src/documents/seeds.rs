//! The seeds of an account's documents. A new one holds for contents that are made after; the old ones stay.

use serde::{Deserialize, Serialize};

use keymoot_model::{AccountId, Wrapped};

use crate::layout::{document_seed_key, document_seed_number_key};
use crate::query::get;
use crate::response::Response;
use crate::table::Table;
use crate::tables::{StateError, Tables};
use crate::transaction::Transaction;

/// A seed, made and wrapped before it is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDocumentSeed {
    /// A random number: its wrapping binds it to that, and a retry is known by it.
    pub id: u64,
    /// The seed, wrapped.
    pub seed: Wrapped,
}

/// A seed as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentSeedRecord {
    pub account: AccountId,
    /// 1 for the first of the account.
    pub number: u32,
    pub id: u64,
    /// The seed, wrapped.
    pub seed: Wrapped,
    /// Time of the proposal: milliseconds since 1970 UTC, by the proposer's clock.
    pub created_at_ms: u64,
}

/// The account's seed of this number.
///
/// # Errors
/// When the tables cannot be read.
pub fn document_seed<T: Tables>(
    tables: &T,
    account: &AccountId,
    number: u32,
) -> Result<Option<DocumentSeedRecord>, StateError> {
    get(tables, Table::DocumentSeeds, &document_seed_key(account, number))
}

/// The seed of contents that are made now; `None` before the account's first document.
///
/// # Errors
/// When the tables cannot be read.
pub fn current_document_seed<T: Tables>(
    tables: &T,
    account: &AccountId,
) -> Result<Option<DocumentSeedRecord>, StateError> {
    current(&Transaction::new(tables), account)
}

pub(super) fn current<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
) -> Result<Option<DocumentSeedRecord>, StateError> {
    match run.get::<u32>(Table::Meta, &document_seed_number_key(account))? {
        Some(number) => seed_of(run, account, number).map(Some),
        None => Ok(None),
    }
}

pub(super) fn seed_of<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    number: u32,
) -> Result<DocumentSeedRecord, StateError> {
    run.get(Table::DocumentSeeds, &document_seed_key(account, number))?
        .ok_or(StateError::Dangling { table: Table::Documents.name() })
}

/// Stores a seed as the account's current one.
pub(super) fn store<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    seed: &NewDocumentSeed,
    now_ms: u64,
) -> Result<DocumentSeedRecord, StateError> {
    // No account has 2^32 seeds; saturating keeps apply total.
    let number = current(run, account)?.map_or(0, |known| known.number).saturating_add(1);
    let NewDocumentSeed { id, seed } = seed.clone();
    let record = DocumentSeedRecord { account: account.clone(), number, id, seed, created_at_ms: now_ms };
    run.put(Table::DocumentSeeds, &document_seed_key(account, number), &record)?;
    run.put(Table::Meta, &document_seed_number_key(account), &number)?;
    Ok(record)
}

/// Rotates the account's seed. A retry changes nothing.
pub(crate) fn add_seed<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    seed: &NewDocumentSeed,
    now_ms: u64,
) -> Result<Response, StateError> {
    if current(run, account)?.is_some_and(|known| known.id == seed.id) {
        return Ok(Response::Unchanged);
    }
    store(run, account, seed, now_ms)?;
    Ok(Response::Done)
}
