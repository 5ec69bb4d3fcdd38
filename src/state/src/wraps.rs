//! How many times each master key may have wrapped: an upper bound, which nodes raise before they wrap.
//!
//! A node reserves many wrappings at once, so that counting costs next to nothing. What it reserved and did not
//! use before it stopped stays counted. Wrappings from before feature level 4 are not in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use keymoot_model::MasterKeyId;

use super::layout::{META_WRAPS, wraps_key};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::Transaction;

/// The most wrappings that are reserved by one command.
pub const WRAPS_AT_ONCE_MAX: u32 = 1 << 24;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReservedWraps {
    master_key: MasterKeyId,
    reserved: u64,
}

impl ReservedWraps {
    pub(super) fn of(master_key: &MasterKeyId, reserved: u64) -> Self {
        Self { master_key: master_key.clone(), reserved }
    }
}

/// Adds `count` wrappings to those of the master key.
pub(super) fn reserve<T: Tables>(
    run: &mut Transaction<'_, T>,
    master_key: &MasterKeyId,
    count: u32,
) -> Result<Response, StateError> {
    let key = wraps_key(master_key);
    let before = run.get::<ReservedWraps>(Table::Meta, &key)?.map_or(0, |known| known.reserved);
    let reserved = before.saturating_add(count.into());
    run.put(Table::Meta, &key, &ReservedWraps::of(master_key, reserved))?;
    Ok(Response::Done)
}

/// The bound for each master key.
///
/// # Errors
/// When the tables cannot be read.
pub fn reserved_wraps<T: Tables>(tables: &T) -> Result<BTreeMap<MasterKeyId, u64>, StateError> {
    let pairs = tables.prefix(Table::Meta, META_WRAPS)?;
    let each = pairs.iter().map(|(_, value)| {
        let known: ReservedWraps = read(tables, Table::Meta, value)?;
        Ok((known.master_key, known.reserved))
    });
    each.collect()
}
