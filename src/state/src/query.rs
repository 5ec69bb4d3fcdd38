//! Queries on the state. They change nothing; consistency is the caller's concern.

use serde::de::DeserializeOwned;

use keymoot_model::{
    Account, AccountId, Auxiliary, ContentId, KeyPath, KeyRecord, Period, SeedId, SeedRecord, Wrapped,
};

use super::digest::Digest;
use super::layout::{
    META_AUTHORITY, META_DIGEST, META_IDENTITY, META_KID_KEY, META_SERVER_SECRET, account_key, content_key,
    period_key, period_of, place_key, schedule_key, seed_key, version_key,
};
use super::record::{AuthorityRecord, ClusterIdentity, KidRecord, Track};
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::Transaction;

/// The current key of a track.
///
/// # Errors
/// When the tables cannot be read.
pub fn current_key<T: Tables>(tables: &T, place: &KeyPath) -> Result<Option<KeyRecord>, StateError> {
    Ok(track(tables, place)?.and_then(|track| track.current))
}

/// The version that the next key of a track must be wrapped for.
///
/// # Errors
/// When the tables cannot be read.
pub fn next_version<T: Tables>(tables: &T, place: &KeyPath) -> Result<u32, StateError> {
    Ok(track(tables, place)?.map_or(1, |track| track.next_version))
}

/// The key that encrypts places into key ids, once the cluster has one.
///
/// # Errors
/// When the tables cannot be read.
pub fn kid_key<T: Tables>(tables: &T) -> Result<Option<Wrapped>, StateError> {
    get(tables, Table::Meta, META_KID_KEY)
}

/// The seed with these numbers.
///
/// # Errors
/// When the tables cannot be read.
pub fn seed<T: Tables>(tables: &T, id: SeedId) -> Result<Option<SeedRecord>, StateError> {
    get(tables, Table::Seeds, &seed_key(id))
}

/// The current seed for a track's periods of this length.
///
/// # Errors
/// When the tables cannot be read.
pub fn schedule<T: Tables>(
    tables: &T,
    place: &KeyPath,
    length_s: u32,
) -> Result<Option<SeedRecord>, StateError> {
    seed_of_schedule(&Transaction::new(tables), place, length_s)
}

/// The current seeds of a track, one for each period length, shortest first.
///
/// # Errors
/// When the tables cannot be read.
pub fn schedules<T: Tables>(tables: &T, place: &KeyPath) -> Result<Vec<SeedRecord>, StateError> {
    let run = Transaction::new(tables);
    let pairs = tables.prefix(Table::Schedules, &place_key(place))?;
    pairs.iter().map(|(_, value)| seed_at(&run, read(tables, Table::Schedules, value)?)).collect()
}

/// The keys supplied for single periods of this length, from index `first` to `last`, in order.
///
/// # Errors
/// When the tables cannot be read.
pub fn supplied_keys<T: Tables>(
    tables: &T,
    place: &KeyPath,
    length_s: u32,
    first: u32,
    last: u32,
) -> Result<Vec<KeyRecord>, StateError> {
    let run = Transaction::new(tables);
    let mut keys = Vec::new();
    // Indexes that differ only in their last byte share a prefix. Reading block by block returns little more
    // than was asked for, however many keys the track has.
    for block in first >> 8..=last >> 8 {
        let any = Period { length_s, index: block << 8 };
        let mut prefix = period_key(place, any);
        prefix.pop();
        for (_, value) in tables.prefix(Table::Periods, &prefix)? {
            let version: u32 = read(tables, Table::Periods, &value)?;
            let key = key_at(&run, &KidRecord { place: place.clone(), version })?;
            if key.period.is_some_and(|period| (first..=last).contains(&period.index)) {
                keys.push(key);
            }
        }
    }
    Ok(keys)
}

/// The crypto periods of a track with a supplied key, sorted by length and index.
///
/// # Errors
/// When the tables cannot be read.
pub fn supplied_periods<T: Tables>(tables: &T, place: &KeyPath) -> Result<Vec<Period>, StateError> {
    let place = place_key(place);
    let pairs = tables.prefix(Table::Periods, &place)?;
    let period = |key: &[u8]| period_of(key.get(place.len()..)?);
    let periods =
        pairs.iter().map(|(key, _)| period(key).ok_or(StateError::Key { table: Table::Periods.name() }));
    periods.collect::<Result<_, _>>().inspect_err(|error| tables.note_damage(error))
}

pub(super) fn seed_of_schedule<T: Tables>(
    run: &Transaction<'_, T>,
    place: &KeyPath,
    length_s: u32,
) -> Result<Option<SeedRecord>, StateError> {
    match run.get::<SeedId>(Table::Schedules, &schedule_key(place, length_s))? {
        Some(id) => seed_at(run, id).map(Some),
        None => Ok(None),
    }
}

fn seed_at<T: Tables>(run: &Transaction<'_, T>, id: SeedId) -> Result<SeedRecord, StateError> {
    run.get(Table::Seeds, &seed_key(id))?.ok_or(StateError::Dangling { table: Table::Schedules.name() })
}

/// The auxiliary data of a content.
///
/// # Errors
/// When the tables cannot be read.
pub fn auxiliary<T: Tables>(
    tables: &T,
    account: &AccountId,
    content: &ContentId,
) -> Result<Option<Auxiliary>, StateError> {
    get(tables, Table::Auxiliary, &content_key(account, content))
}

/// An account.
///
/// # Errors
/// When the tables cannot be read.
pub fn account<T: Tables>(tables: &T, id: &AccountId) -> Result<Option<Account>, StateError> {
    get(tables, Table::Accounts, account_key(id))
}

/// All accounts, sorted by name.
///
/// # Errors
/// When the tables cannot be read.
pub fn accounts<T: Tables>(tables: &T) -> Result<Vec<Account>, StateError> {
    let pairs = tables.prefix(Table::Accounts, b"")?;
    pairs.iter().map(|(_, value)| read(tables, Table::Accounts, value)).collect()
}

/// The cluster's identity, once it is founded.
///
/// # Errors
/// When the tables cannot be read.
pub fn cluster_identity<T: Tables>(tables: &T) -> Result<Option<ClusterIdentity>, StateError> {
    get(tables, Table::Meta, META_IDENTITY)
}

/// The secret that servers prove themselves with, once there is one.
///
/// # Errors
/// When the tables cannot be read.
pub fn server_secret<T: Tables>(tables: &T) -> Result<Option<Wrapped>, StateError> {
    get(tables, Table::Meta, META_SERVER_SECRET)
}

/// The cluster's certificate authority, if the cluster holds its private key and not only the operator.
///
/// # Errors
/// When the tables cannot be read.
pub fn authority<T: Tables>(tables: &T) -> Result<Option<AuthorityRecord>, StateError> {
    get(tables, Table::Meta, META_AUTHORITY)
}

/// The digest of the state.
///
/// # Errors
/// When the tables cannot be read.
pub fn digest<T: Tables>(tables: &T) -> Result<Digest, StateError> {
    Ok(get(tables, Table::Meta, META_DIGEST)?.unwrap_or_default())
}

/// The key that an index entry points at, current or old.
pub(super) fn key_at<T: Tables>(run: &Transaction<'_, T>, at: &KidRecord) -> Result<KeyRecord, StateError> {
    let track: Option<Track> = run.get(Table::Tracks, &place_key(&at.place))?;
    if let Some(current) = track.and_then(|track| track.current)
        && current.version == at.version
    {
        return Ok(current);
    }
    run.get(Table::OldKeys, &version_key(&at.place, at.version))?
        .ok_or(StateError::Dangling { table: Table::Kids.name() })
}

fn track<T: Tables>(tables: &T, place: &KeyPath) -> Result<Option<Track>, StateError> {
    get(tables, Table::Tracks, &place_key(place))
}

pub(super) fn get<V: DeserializeOwned, T: Tables>(
    tables: &T,
    table: Table,
    key: &[u8],
) -> Result<Option<V>, StateError> {
    match tables.get(table, key)? {
        Some(bytes) => read(tables, table, &bytes).map(Some),
        None => Ok(None),
    }
}
