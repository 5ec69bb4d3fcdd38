//! What an account has, without any key: its contents, tracks, versions and key ids, and the contents of a policy. In
//! pages whose work is bounded, whatever the account has.

use serde::{Deserialize, Serialize};

use keymoot_model::{
    AccountId, ContentId, KeyOrigin, KeyRecord, Kid, Period, PolicyName, SeedRecord, TrackName,
};

use super::documents::noted_kid;
use super::layout::{account_prefix, content_key, content_of};
use super::listing::{KeysPage, ListedKey, keys_page};
use super::policies::default_policy;
use super::table::Table;
use super::tables::{StateError, Tables, read};

/// The most versions in a page.
pub const LISTED_MAX: usize = 1000;

/// The most attached policies that are looked at for a page of one policy's contents.
const ATTACHED_READ_MAX: usize = 10_000;

/// A version of a track's key, or the schedule of a rotating track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentVersion {
    pub content: ContentId,
    pub track: TrackName,
    pub version: u32,
    /// The key id; `None` for a schedule, each of whose periods has its own.
    pub kid: Option<Kid>,
    /// Whether it is the track's current key.
    pub is_current: bool,
    /// The period that a supplied key is for.
    pub period: Option<Period>,
    /// Of a schedule: the length of its periods in seconds, 0 when the scrambler does not state it.
    pub rotates_s: Option<u32>,
    /// Whether the client gave the key.
    pub is_supplied: bool,
    /// When it was made: milliseconds since 1970 UTC.
    pub created_at_ms: u64,
}

/// A page of what an account has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentsPage {
    /// Sorted by content and track; the schedules come behind the keys, and the key ids that documents named last.
    pub versions: Vec<ContentVersion>,
    /// The mark to pass as `after` for the next page; `None` after the last page.
    pub next: Option<Vec<u8>>,
}

/// A page of the contents that a policy is attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyUsesPage {
    /// Sorted by name.
    pub contents: Vec<ContentId>,
    /// Whether it is the account's default, which holds for all contents that have none of their own.
    pub is_default: bool,
    /// The content to pass as `after` for the next page; `None` after the last page. A page may be empty and not the last.
    pub next: Option<ContentId>,
}

/// What an account has, or one content of it, after the mark `after`: about `versions_max` versions.
///
/// # Errors
/// When the tables cannot be read.
pub fn contents_page<T: Tables>(
    tables: &T,
    account: &AccountId,
    content: Option<&ContentId>,
    after: Option<&[u8]>,
    versions_max: usize,
) -> Result<ContentsPage, StateError> {
    let versions_max = versions_max.clamp(1, LISTED_MAX);
    if let Some(after) = after.and_then(|mark| mark.strip_prefix(&[OF_DOCUMENTS])) {
        return of_documents(tables, account, content, after, versions_max);
    }
    let KeysPage { keys, schedules, next } = keys_page(tables, account, content, after, versions_max)?;
    let keys = keys.into_iter().map(|ListedKey { record, is_current }| of_key(record, is_current));
    let mut versions: Vec<ContentVersion> = keys.chain(schedules.into_iter().map(of_schedule)).collect();
    if next.is_some() {
        return Ok(ContentsPage { versions, next });
    }
    // The stored ones are all listed: those of documents come behind them.
    match versions_max.saturating_sub(versions.len()) {
        0 => Ok(ContentsPage { versions, next: Some(vec![OF_DOCUMENTS]) }),
        room => {
            let noted = of_documents(tables, account, content, &[], room)?;
            versions.extend(noted.versions);
            Ok(ContentsPage { versions, next: noted.next })
        }
    }
}

/// What marks of the key ids that documents named begin with; no other mark does.
const OF_DOCUMENTS: u8 = 0xff;

/// The noted key ids of documents after the mark `after`.
fn of_documents<T: Tables>(
    tables: &T,
    account: &AccountId,
    content: Option<&ContentId>,
    after: &[u8],
    versions_max: usize,
) -> Result<ContentsPage, StateError> {
    let prefix = match content {
        Some(content) => content_key(account, content),
        None => account_prefix(account),
    };
    let noted = tables.page(Table::DocumentKeys, &prefix, after, versions_max)?;
    let is_full = noted.len() == versions_max;
    let last = noted.last().map(|(key, _)| [&[OF_DOCUMENTS], key.as_slice()].concat());
    let mut versions = Vec::with_capacity(noted.len());
    for (key, _) in noted {
        let kid = key.last_chunk().copied().map(Kid::from_bytes);
        let unknown = StateError::Key { table: Table::DocumentKeys.name() };
        let kid = kid.ok_or(unknown).inspect_err(|error| tables.note_damage(error))?;
        let Some(noted) = noted_kid(tables, account, &kid)?.filter(|noted| !noted.is_deleted) else {
            continue;
        };
        versions.push(ContentVersion {
            content: noted.content,
            track: TrackName::sum(&noted.tracks),
            version: noted.version.version,
            kid: Some(kid),
            is_current: true,
            period: None,
            rotates_s: None,
            is_supplied: false,
            created_at_ms: noted.noted_at_ms,
        });
    }
    Ok(ContentsPage { versions, next: last.filter(|_| is_full) })
}

fn of_key(record: KeyRecord, is_current: bool) -> ContentVersion {
    ContentVersion {
        content: record.place.content,
        track: record.place.track,
        version: record.version,
        kid: Some(record.kid),
        is_current,
        period: record.period,
        rotates_s: None,
        is_supplied: record.origin == KeyOrigin::Supplied,
        created_at_ms: record.created_at_ms,
    }
}

fn of_schedule(seed: SeedRecord) -> ContentVersion {
    ContentVersion {
        content: seed.place.content,
        track: seed.place.track,
        version: seed.id.version.into(),
        kid: None,
        is_current: true,
        period: None,
        rotates_s: Some(seed.length_s),
        is_supplied: false,
        created_at_ms: seed.created_at_ms,
    }
}

/// The contents after `after` that a policy is attached to: at most `contents_max` of them.
///
/// # Errors
/// When the tables cannot be read.
pub fn policy_uses_page<T: Tables>(
    tables: &T,
    account: &AccountId,
    name: &PolicyName,
    after: Option<&ContentId>,
    contents_max: usize,
) -> Result<PolicyUsesPage, StateError> {
    let contents_max = contents_max.clamp(1, LISTED_MAX);
    let after = after.map(|content| content_key(account, content)).unwrap_or_default();
    let prefix = account_prefix(account);
    let attached = tables.page(Table::ContentPolicies, &prefix, &after, ATTACHED_READ_MAX)?;
    let mut page = PolicyUsesPage {
        is_default: default_policy(tables, account)?.as_ref() == Some(name),
        ..PolicyUsesPage::default()
    };
    let all_read = attached.len() < ATTACHED_READ_MAX;
    let mut last = None;
    for (key, value) in attached {
        let unknown = StateError::Key { table: Table::ContentPolicies.name() };
        let content = content_of(&key).and_then(|(_, content)| ContentId::new(content).ok());
        let content = content.ok_or(unknown).inspect_err(|error| tables.note_damage(error))?;
        let attached: PolicyName = read(tables, Table::ContentPolicies, &value)?;
        if attached == *name {
            if page.contents.len() == contents_max {
                page.next = page.contents.last().cloned();
                return Ok(page);
            }
            page.contents.push(content.clone());
        }
        last = Some(content);
    }
    page.next = last.filter(|_| !all_read);
    Ok(page)
}
