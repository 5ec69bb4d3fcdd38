//! Contents that encryptors' documents made: which seed their keys derive from, and the key ids that are noted.
//!
//! Keys of documents are not stored. A content has versions, each with a seed of its account: the first one derives the
//! keys of key ids as encryptors make them, the last one the keys of new documents. Where these are not the same, because
//! the content was rotated, new documents get key ids that the server makes, so that an old key id never gets another key.
//!
//! A noted key id says more than that: its own version and seed, what it is for, its tracks, and the IV that its licenses
//! announce. A note from a version before the content's first is void: the content was deleted.

mod delete;
mod key;
mod note;
mod seeds;

use serde::{Deserialize, Serialize};

use keymoot_model::{AccountId, ContentId, KeyKind, Kid, TrackName};

use super::layout::{account_kid_key, content_key};
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

pub(super) use delete::{delete, retire};
pub use key::{DocumentKeyRecord, document_key_of_track};
pub(super) use key::{key_of_noted, key_of_track};
pub use note::{
    DOCUMENT_KEYS_MAX, DocumentRefusal, NewDocument, NewDocumentKey, TRACKS_OF_KEY_MAX, documents_from_bytes,
    documents_to_bytes,
};
pub(super) use note::{note, rotate};
pub(super) use seeds::add_seed;
pub use seeds::{DocumentSeedRecord, NewDocumentSeed, current_document_seed, document_seed};

/// The most versions that a content has at once: so often it is rotated before it is deleted.
pub const DOCUMENT_VERSIONS_MAX: usize = 64;

/// The most tracks that are told apart in a content.
const TRACKS_MAX: usize = 64;

/// A version of a content that documents made, and the seed that its keys derive from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentVersion {
    /// Never used twice in a content.
    pub version: u32,
    /// The number of a seed of the account.
    pub seed: u32,
}

/// A content that documents made. The record stays when the content is deleted, so that no version is used twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentContent {
    pub next_version: u32,
    /// Oldest first; none once the content is deleted.
    pub versions: Vec<DocumentVersion>,
    /// What its keys are for.
    pub kinds: Vec<KeyKind>,
    /// The tracks of its keys, sorted: a key id that is not noted may be any of theirs.
    pub tracks: Vec<TrackName>,
    /// The keys that hold for whole tracks.
    pub track_keys: Vec<(TrackName, Kid)>,
    /// The IV that licenses announce for key ids that are not noted; `None`: the one that follows from the key id.
    pub iv: Option<[u8; 16]>,
    /// When it was noted: milliseconds since 1970 UTC, by the proposer's clock.
    pub created_at_ms: u64,
}

impl DocumentContent {
    fn new(now_ms: u64) -> Self {
        Self {
            next_version: 1,
            versions: Vec::new(),
            kinds: Vec::new(),
            tracks: Vec::new(),
            track_keys: Vec::new(),
            iv: None,
            created_at_ms: now_ms,
        }
    }

    /// The version that derives the keys of key ids as encryptors make them.
    pub fn first(&self) -> Option<DocumentVersion> {
        self.versions.first().copied()
    }

    /// The version that derives the keys of new documents.
    pub fn last(&self) -> Option<DocumentVersion> {
        self.versions.last().copied()
    }

    /// Whether a note of this version holds.
    fn holds(&self, version: u32) -> bool {
        self.first().is_some_and(|first| first.version <= version)
    }
}

/// A key id that is noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotedKid {
    pub content: ContentId,
    /// What its key derives from.
    pub version: DocumentVersion,
    pub kind: KeyKind,
    /// The tracks that it encrypts; none where the document did not say it.
    pub tracks: Vec<TrackName>,
    /// The IV that its licenses announce; `None`: the one that follows from the key id.
    pub iv: Option<[u8; 16]>,
    /// Whether its key was deleted.
    pub is_deleted: bool,
    /// When it was noted: milliseconds since 1970 UTC, by the proposer's clock.
    pub noted_at_ms: u64,
}

/// A content that documents made, unless it was deleted.
///
/// # Errors
/// When the tables cannot be read.
pub fn document_content<T: Tables>(
    tables: &T,
    account: &AccountId,
    content: &ContentId,
) -> Result<Option<DocumentContent>, StateError> {
    let known = stored(&Transaction::new(tables), account, content)?;
    Ok(known.filter(|known| !known.versions.is_empty()))
}

/// The version that a content has when documents make it next.
///
/// # Errors
/// When the tables cannot be read.
pub fn next_document_version<T: Tables>(
    tables: &T,
    account: &AccountId,
    content: &ContentId,
) -> Result<u32, StateError> {
    let known = stored(&Transaction::new(tables), account, content)?;
    Ok(known.map_or(1, |known| known.next_version))
}

/// What is noted of an account's key id.
///
/// # Errors
/// When the tables cannot be read.
pub fn noted_kid<T: Tables>(
    tables: &T,
    account: &AccountId,
    kid: &Kid,
) -> Result<Option<NotedKid>, StateError> {
    noted(&Transaction::new(tables), account, kid)
}

/// The record of a content, deleted or not.
fn stored<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    content: &ContentId,
) -> Result<Option<DocumentContent>, StateError> {
    run.get(Table::Documents, &content_key(account, content))
}

/// What is noted of a key id and not void.
pub(super) fn noted<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    kid: &Kid,
) -> Result<Option<NotedKid>, StateError> {
    let Some(noted) = run.get::<NotedKid>(Table::DocumentKids, &account_kid_key(account, kid))? else {
        return Ok(None);
    };
    let content = stored(run, account, &noted.content)?;
    Ok(content.filter(|content| content.holds(noted.version.version)).map(|_| noted))
}
