//! Rotating tracks: the seed of each version, and keys supplied for single periods.
//!
//! A seed is a version of its track, like a stored key, numbered by the same counter. It is stored under its
//! numbers, which every derived key id carries, and found by place and period length. A key supplied for one
//! period is a version too; it is never the track's current key.

use keymoot_model::{KeyPath, KeyRecord, Period, SeedId, SeedRecord, Wrapped};

use super::apply::{refuse, track};
use super::command::{NewKey, NewSeed};
use super::kids;
use super::layout::{
    META_CONTENTS, META_KID_KEY, content_key, period_key, place_key, schedule_key, seed_key, seeds_of_track,
    version_key,
};
use super::query::seed_of_schedule;
use super::record::{ContentNumber, KidRecord, Track};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::{Transaction, decode};

/// Stores the seed unless the track has one for periods of this length and `replace` is not set.
pub(super) fn store_seed<T: Tables>(
    run: &mut Transaction<'_, T>,
    seed: &NewSeed,
    replace: bool,
    now_ms: u64,
) -> Result<Response, StateError> {
    if !replace && let Some(current) = seed_of_schedule(run, &seed.place, seed.length_s)? {
        return Ok(Response::Seed(Box::new(current)));
    }
    let mut track = track(run, &seed.place)?;
    if seed.version != track.next_version {
        return Ok(Response::VersionMoved { next: track.next_version });
    }
    let Ok(version) = u16::try_from(seed.version) else {
        return Ok(Response::NumbersExhausted);
    };
    let Some((content, number)) = numbers(run, &seed.place, &track)? else {
        return Ok(Response::NumbersExhausted);
    };
    let id = SeedId { content, version, track: number };
    let record = SeedRecord {
        place: seed.place.clone(),
        id,
        length_s: seed.length_s,
        seed: seed.seed.clone(),
        created_at_ms: now_ms,
    };
    track.number = Some(number);
    track.next_version = seed.version.saturating_add(1);
    run.put(Table::Tracks, &place_key(&seed.place), &track)?;
    run.put(Table::Seeds, &seed_key(id), &record)?;
    run.put(Table::Schedules, &schedule_key(&seed.place, seed.length_s), &id)?;
    Ok(Response::Seed(Box::new(record)))
}

/// The numbers of content and track, assigned now if they have none. `None` when the numbers are used up.
fn numbers<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &KeyPath,
    track: &Track,
) -> Result<Option<(u64, u16)>, StateError> {
    let key = content_key(&place.account, &place.content);
    let content = match run.get::<ContentNumber>(Table::Contents, &key)? {
        Some(content) => content,
        None => {
            let number: u64 = run.get(Table::Meta, META_CONTENTS)?.unwrap_or(0) + 1;
            if number > SeedId::CONTENTS_MAX {
                return Ok(None);
            }
            run.put(Table::Meta, META_CONTENTS, &number)?;
            ContentNumber { number, next_track: 0 }
        }
    };
    let (number, next_track) = match track.number {
        Some(number) => (number, content.next_track),
        None => match u16::try_from(content.next_track) {
            Ok(number) => (number, content.next_track + 1),
            Err(_) => return Ok(None),
        },
    };
    run.put(Table::Contents, &key, &ContentNumber { next_track, ..content })?;
    Ok(Some((content.number, number)))
}

/// Stores a key for one period, in place of the derived one.
pub(super) fn supply_period_key<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &NewKey,
    period: Period,
    now_ms: u64,
) -> Result<Response, StateError> {
    let mut track = track(run, &key.place)?;
    if let Some(refusal) = refuse(run, &track, key)? {
        return Ok(refusal);
    }
    let record = key.record(now_ms, Some(period));
    let at = KidRecord { place: key.place.clone(), version: key.version };
    track.next_version = key.version.saturating_add(1);
    kids::put(run, &key.kid, &at)?;
    run.put(Table::OldKeys, &version_key(&key.place, key.version), &record)?;
    run.put(Table::Periods, &period_key(&key.place, period), &key.version)?;
    run.put(Table::Tracks, &place_key(&key.place), &track)?;
    Ok(Response::Stored)
}

/// Removes the supplied key of a period, if it is still the current one there.
pub(super) fn forget_period<T: Tables>(
    run: &mut Transaction<'_, T>,
    record: &KeyRecord,
) -> Result<(), StateError> {
    let Some(period) = record.period else { return Ok(()) };
    let key = period_key(&record.place, period);
    if run.get::<u32>(Table::Periods, &key)? == Some(record.version) {
        run.delete(Table::Periods, &key)?;
    }
    Ok(())
}

/// Deletes at most `limit` seeds of a track up to a version, the oldest first. Returns their number.
pub(super) fn delete_seeds<T: Tables>(
    run: &mut Transaction<'_, T>,
    place: &KeyPath,
    through: u32,
    limit: u32,
) -> Result<u32, StateError> {
    let content: Option<ContentNumber> =
        run.get(Table::Contents, &content_key(&place.account, &place.content))?;
    let Some((content, number)) = content.zip(track(run, place)?.number) else { return Ok(0) };
    let mut versions = 0;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Seeds of a track sort by version.
    for (key, value) in run.page(Table::Seeds, &seeds_of_track(content.number, number), &[], limit)? {
        let record: SeedRecord = decode(Table::Seeds, &value)?;
        if u32::from(record.id.version) > through {
            break;
        }
        run.delete(Table::Seeds, &key)?;
        let schedule = schedule_key(place, record.length_s);
        if run.get::<SeedId>(Table::Schedules, &schedule)? == Some(record.id) {
            run.delete(Table::Schedules, &schedule)?;
        }
        versions += 1;
    }
    Ok(versions)
}

/// Stores the key of the cluster's derived key ids, once.
pub(super) fn found_kid_key<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &Wrapped,
) -> Result<Response, StateError> {
    if let Some(known) = run.get::<Wrapped>(Table::Meta, META_KID_KEY)? {
        return Ok(Response::KidKey(known));
    }
    run.put(Table::Meta, META_KID_KEY, key)?;
    Ok(Response::KidKey(key.clone()))
}
