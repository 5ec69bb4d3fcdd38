//! Deleting versions of a track.
//!
//! From feature level 3 on, one command deletes at most [`DELETED_VERSIONS_MAX`] versions, so that the work
//! for one log entry has a bound. The oldest go first and the current one last; the proposer repeats the
//! command. Below that level one command deletes all, as in earlier versions.

use keymoot_model::{KeyPath, KeyRecord, Kid};

use super::apply::track;
use super::features;
use super::kids;
use super::layout::{place_key, version_key};
use super::response::Response;
use super::rotation;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// The most versions and seeds that one command deletes, from feature level 3 on. With as many deleted, there
/// may be more.
pub const DELETED_VERSIONS_MAX: u32 = 256;

/// Deletes versions up to `through`, or the one of `kid`. Says how many.
pub(super) fn delete_key<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &KeyPath,
    through: u32,
    kid: Option<&Kid>,
) -> Result<Response, StateError> {
    let versions = match kid {
        _ if features::level(run)? < features::BOUNDED_WORK => delete_all(run, place, through, kid)?,
        Some(kid) => delete_one(run, place, through, kid)?,
        None => delete_oldest(run, place, through)?,
    };
    Ok(Response::Deleted { versions })
}

/// Below feature level 3.
fn delete_all<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &KeyPath,
    through: u32,
    kid: Option<&Kid>,
) -> Result<u32, StateError> {
    let wanted = |record: &KeyRecord| record.version <= through && kid.is_none_or(|kid| *kid == record.kid);
    let mut versions = 0;
    for (key, value) in run.prefix(Table::OldKeys, &place_key(place))? {
        let record: KeyRecord = decode(Table::OldKeys, &value)?;
        if wanted(&record) {
            delete_old(run, &key, &record)?;
            versions += 1;
        }
    }
    // A derived key id names a period, not a version: it cannot be deleted by itself.
    if kid.is_none() {
        versions += rotation::delete_seeds(run, place, through, u32::MAX)?;
    }
    Ok(versions + delete_current(run, place, wanted)?)
}

fn delete_one<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &KeyPath,
    through: u32,
    kid: &Kid,
) -> Result<u32, StateError> {
    let Some(at) =
        kids::find(run, &place.account, kid)?.filter(|at| at.place == *place && at.version <= through)
    else {
        return Ok(0);
    };
    let key = version_key(place, at.version);
    match run.get::<KeyRecord>(Table::OldKeys, &key)? {
        Some(record) => delete_old(run, &key, &record).map(|()| 1),
        None => delete_current(run, place, |record| record.kid == *kid && record.version <= through),
    }
}

fn delete_oldest<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &KeyPath,
    through: u32,
) -> Result<u32, StateError> {
    let mut versions = 0;
    // Versions sort by number.
    for (key, value) in run.page(Table::OldKeys, &place_key(place), &[], DELETED_VERSIONS_MAX as usize)? {
        let record: KeyRecord = decode(Table::OldKeys, &value)?;
        if record.version > through {
            break;
        }
        delete_old(run, &key, &record)?;
        versions += 1;
    }
    versions += rotation::delete_seeds(run, place, through, DELETED_VERSIONS_MAX - versions)?;
    if versions == DELETED_VERSIONS_MAX {
        return Ok(versions);
    }
    Ok(versions + delete_current(run, place, |record| record.version <= through)?)
}

fn delete_old<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &[u8],
    record: &KeyRecord,
) -> Result<(), StateError> {
    run.delete(Table::OldKeys, key)?;
    kids::delete(run, &record.place.account, &record.kid)?;
    rotation::forget_period(run, record)
}

fn delete_current<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &KeyPath,
    wanted: impl Fn(&KeyRecord) -> bool,
) -> Result<u32, StateError> {
    let mut track = track(run, place)?;
    let Some(current) = track.current.take_if(|current| wanted(current)) else { return Ok(0) };
    kids::delete(run, &place.account, &current.kid)?;
    run.put(Table::Tracks, &place_key(place), &track)?;
    Ok(1)
}
