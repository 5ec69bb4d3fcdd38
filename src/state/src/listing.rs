//! The stored keys of an account in order, in bounded pages.
//!
//! A page ends when a count is reached; its mark names the track and version after which the next page
//! starts. A key that is stored or deleted between two pages may be missed or seen; one that stays is seen
//! exactly once.

use keymoot_model::{AccountId, ContentId, KeyPath, KeyRecord, SeedRecord};

use super::layout::{account_prefix, content_key, place_key, place_of, version_key};
use super::query::schedules;
use super::record::Track;
use super::table::Table;
use super::tables::{StateError, Tables, read};

/// A key, and whether it is its track's current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    pub record: KeyRecord,
    pub is_current: bool,
}

/// A page of stored keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysPage {
    /// Sorted by content, track and version.
    pub keys: Vec<ListedKey>,
    /// The schedules of the page's rotating tracks.
    pub schedules: Vec<SeedRecord>,
    /// The mark to pass as `after` for the next page; `None` after the last page.
    pub next: Option<Vec<u8>>,
}

/// The keys of an account, or of one content of it, after the mark `after`. Returns at most about `keys_max`
/// keys and reads at most as many tracks.
///
/// # Errors
/// When the tables cannot be read.
pub fn keys_page<T: Tables>(
    tables: &T,
    account: &AccountId,
    content: Option<&ContentId>,
    after: Option<&[u8]>,
    keys_max: usize,
) -> Result<KeysPage, StateError> {
    let prefix = match content {
        Some(content) => content_key(account, content),
        None => account_prefix(account),
    };
    let mut page = KeysPage::default();
    // The mark names a version: the rest of its track comes first.
    let mut behind = Vec::new();
    if let Some((place, version)) = after.and_then(|mark| mark_of(mark, &prefix)) {
        behind = place_key(&place);
        if let Some(track) = tables.get(Table::Tracks, &behind)? {
            let track: Track = read(tables, Table::Tracks, &track)?;
            page.add(tables, &place, track, version, keys_max)?;
        }
    }
    if page.next.is_some() {
        return Ok(page);
    }
    let tracks = tables.page(Table::Tracks, &prefix, &behind, keys_max)?;
    let all_seen = tracks.len() < keys_max;
    let mut last = None;
    for (key, value) in tracks {
        let unknown = StateError::Key { table: Table::Tracks.name() };
        let place = place_of(&key).ok_or(unknown).inspect_err(|error| tables.note_damage(error))?;
        page.add(tables, &place, read(tables, Table::Tracks, &value)?, 0, keys_max)?;
        if page.next.is_some() {
            return Ok(page);
        }
        last = Some(place);
    }
    page.next = last.filter(|_| !all_seen).map(|place| version_key(&place, u32::MAX));
    Ok(page)
}

/// The track and version that a mark names, if it is one of this listing.
fn mark_of(mark: &[u8], prefix: &[u8]) -> Option<(KeyPath, u32)> {
    let (key, version) = mark.split_last_chunk::<4>()?;
    let place = place_of(key).filter(|_| key.starts_with(prefix))?;
    Some((place, u32::from_be_bytes(*version)))
}

impl KeysPage {
    /// Adds the keys of a track after a version, and sets the mark if the page is full before the last key.
    fn add<T: Tables>(
        &mut self,
        tables: &T,
        place: &KeyPath,
        track: Track,
        behind: u32,
        keys_max: usize,
    ) -> Result<(), StateError> {
        let room = keys_max.saturating_sub(self.keys.len());
        let old = tables.page(Table::OldKeys, &place_key(place), &version_key(place, behind), room + 1)?;
        let old = old.iter().map(|(_, value)| read(tables, Table::OldKeys, value));
        let mut records: Vec<KeyRecord> = old.collect::<Result<_, _>>()?;
        let current = track.current.filter(|current| current.version > behind);
        let current_version = current.as_ref().map(|current| current.version);
        // Keys supplied for periods may be newer than the current one.
        records.extend(current);
        records.sort_by_key(|record| record.version);
        let more = records.len() > room;
        records.truncate(room);
        // A track that starts on the next page is counted there.
        if behind == 0 && !(more && room == 0) {
            self.schedules.extend(schedules(tables, place)?);
        }
        let reached = records.last().map_or(behind, |record| record.version);
        self.keys.extend(records.into_iter().map(|record| {
            let is_current = Some(record.version) == current_version;
            ListedKey { record, is_current }
        }));
        if more {
            self.next = Some(version_key(place, reached));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
