//! Noting a content that is new, or what is new about it, and rotating it.

use serde::{Deserialize, Serialize};

use keymoot_model::{AccountId, ContentId, KeyKind, Kid, TrackName};

use super::seeds::{DocumentSeedRecord, NewDocumentSeed, current, store};
use super::{DOCUMENT_VERSIONS_MAX, DocumentContent, DocumentVersion, NotedKid, TRACKS_MAX, noted, stored};
use crate::kids;
use crate::layout::{account_kid_key, content_key, document_key_key, document_seed_key};
use crate::response::Response;
use crate::table::Table;
use crate::tables::{StateError, Tables};
use crate::transaction::Transaction;

/// The most keys that are noted by one command.
pub const DOCUMENT_KEYS_MAX: usize = 1024;
/// What errors call documents that are not in any table yet.
const LATE: &str = "of documents to be noted";
/// The most tracks of one key.
pub const TRACKS_OF_KEY_MAX: usize = 16;

/// What a document asks for of one content, as far as it is not noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDocument {
    pub account: AccountId,
    pub content: ContentId,
    /// The account's first seed, where the proposer knows of none.
    pub seed: Option<NewDocumentSeed>,
    pub keys: Vec<NewDocumentKey>,
    /// What was answered already, by a node that was cut off; what the state has must not contradict it.
    pub answered: Option<DocumentVersion>,
}

impl NewDocument {
    /// Whether it is one that a request could have made.
    pub fn is_within_bounds(&self) -> bool {
        let mut tracks = self.keys.iter().map(|key| key.tracks.len().max(key.key_of.len()));
        self.keys.len() <= DOCUMENT_KEYS_MAX && tracks.all(|tracks| tracks <= TRACKS_OF_KEY_MAX)
    }
}

/// Documents as a node keeps them until they are noted.
///
/// # Errors
/// When they cannot be encoded.
pub fn documents_to_bytes(documents: &[NewDocument]) -> Result<Vec<u8>, StateError> {
    keymoot_codec::encode(keymoot_codec::Kind::Record, &documents)
        .map_err(|source| StateError::Record { table: LATE, source })
}

/// The documents in these bytes.
///
/// # Errors
/// When they are not what [`documents_to_bytes`] makes.
pub fn documents_from_bytes(bytes: &[u8]) -> Result<Vec<NewDocument>, StateError> {
    keymoot_codec::decode(keymoot_codec::Kind::Record, bytes)
        .map_err(|source| StateError::Record { table: LATE, source })
}

/// A key id to be noted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDocumentKey {
    pub kid: Kid,
    pub kind: KeyKind,
    /// The tracks that it encrypts.
    pub tracks: Vec<TrackName>,
    /// The tracks whose key it is, for front ends that know tracks and no key ids.
    pub key_of: Vec<TrackName>,
    /// The IV that its licenses announce, where it does not follow from the key id.
    pub iv: Option<[u8; 16]>,
    /// The version that made the key id; `None` for a key id of the encryptor's.
    pub replaced_in: Option<u32>,
}

/// Why a document's keys are not noted. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum DocumentRefusal {
    /// The key id names a key of another content.
    #[error("key id {kid} names a key of content {content}; each content needs key ids of its own")]
    OtherContent { kid: Kid, content: ContentId },
    /// The key id names a key of the other kind.
    #[error("key id {0} names a key of the other kind: clear AES-128 and DRM systems never share one")]
    OtherKind(Kid),
    /// Its licenses announce another IV.
    #[error(
        "licenses of key id {0} announce another IV than the document gives; leave explicitIV out, or use another key id"
    )]
    OtherIv(Kid),
    /// Its key was deleted.
    #[error("the key of key id {0} was deleted; use another key id")]
    Deleted(Kid),
    /// The content was rotated as often as it can be.
    #[error("the content was rotated {DOCUMENT_VERSIONS_MAX} times; delete it before it is rotated again")]
    VersionsUsedUp,
    /// No document made the content, or it was deleted.
    #[error("no document made the content")]
    NoContent,
    /// A node that was cut off gave keys that contradict what the others noted meanwhile.
    #[error("{kids} key ids have other keys here than a node gave that was cut off")]
    AnsweredOtherwise { kids: u32 },
}

/// Notes a document's keys: all of them, or none. Of one that was answered already, whatever can be noted.
pub(crate) fn note<T: Tables>(
    run: &mut Transaction<'_, T>,
    new: &NewDocument,
    now_ms: u64,
) -> Result<Response, StateError> {
    let NewDocument { account, content: id, seed, keys, answered } = new;
    if let Some(answered) = answered
        && run
            .get::<DocumentSeedRecord>(Table::DocumentSeeds, &document_seed_key(account, answered.seed))?
            .is_none()
    {
        // No node derives a key from a seed that there is not.
        return Ok(refused(DocumentRefusal::NoContent));
    }
    let mut content = stored(run, account, id)?.unwrap_or_else(|| DocumentContent::new(now_ms));
    if content.versions.is_empty() {
        let first = match answered {
            // Deleted meanwhile: the deletion wins.
            Some(answered) if answered.version < content.next_version => return Ok(Response::Unchanged),
            Some(answered) => *answered,
            None => {
                let seed = match (current(run, account)?, seed) {
                    (Some(known), _) => known,
                    (None, Some(first)) => store(run, account, first, now_ms)?,
                    (None, None) => return Ok(refused(DocumentRefusal::NoContent)),
                };
                DocumentVersion { version: content.next_version, seed: seed.number }
            }
        };
        // No content is deleted 2^32 times; saturating keeps apply total.
        content.next_version = first.version.saturating_add(1);
        content = DocumentContent { versions: vec![first], created_at_ms: now_ms, ..content };
    }
    let Some(first) = content.first() else { return Ok(Response::Unchanged) };
    let own = answered.unwrap_or(first);
    let (mut fit, mut contradicted) = (Vec::with_capacity(keys.len()), 0_u32);
    for key in keys.iter().take(DOCUMENT_KEYS_MAX) {
        let version = match key.replaced_in {
            None => own,
            Some(number) => match content.versions.iter().find(|known| known.version == number) {
                Some(version) => *version,
                None => return Ok(refused(DocumentRefusal::Deleted(key.kid))),
            },
        };
        match fits(run, account, id, key, version)? {
            Fits::Unknown => fit.push((key, version)),
            Fits::Noted => {}
            Fits::Refused(_) if answered.is_some() => contradicted += 1,
            Fits::Refused(refusal) => return Ok(refused(refusal)),
        }
    }
    for (key, version) in fit {
        content.add(key);
        let noted = NotedKid {
            content: id.clone(),
            version,
            kind: key.kind,
            tracks: key.tracks.clone(),
            iv: key.iv,
            is_deleted: false,
            noted_at_ms: now_ms,
        };
        run.put(Table::DocumentKids, &account_kid_key(account, &key.kid), &noted)?;
        run.put(Table::DocumentKeys, &document_key_key(account, id, &key.kid), &())?;
    }
    run.put(Table::Documents, &content_key(account, id), &content)?;
    Ok(match contradicted {
        0 => Response::Done,
        kids => refused(DocumentRefusal::AnsweredOtherwise { kids }),
    })
}

/// Whether a key id can be noted.
enum Fits {
    Unknown,
    /// It is noted so, or stored: what is stored for a key id wins.
    Noted,
    Refused(DocumentRefusal),
}

fn fits<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    content: &ContentId,
    key: &NewDocumentKey,
    version: DocumentVersion,
) -> Result<Fits, StateError> {
    let kid = key.kid;
    if let Some(at) = kids::find(run, account, &kid)? {
        let kind =
            if at.place.track == TrackName::hls_aes_128() { KeyKind::Clear } else { KeyKind::Protected };
        return Ok(if at.place.content != *content {
            Fits::Refused(DocumentRefusal::OtherContent { kid, content: at.place.content })
        } else if kind != key.kind {
            Fits::Refused(DocumentRefusal::OtherKind(kid))
        } else {
            Fits::Noted
        });
    }
    let Some(known) = noted(run, account, &kid)? else { return Ok(Fits::Unknown) };
    let refusal = if known.content != *content {
        DocumentRefusal::OtherContent { kid, content: known.content }
    } else if known.is_deleted {
        DocumentRefusal::Deleted(kid)
    } else if known.kind != key.kind {
        DocumentRefusal::OtherKind(kid)
    } else if known.iv != key.iv {
        DocumentRefusal::OtherIv(kid)
    } else if known.version != version {
        DocumentRefusal::AnsweredOtherwise { kids: 1 }
    } else {
        return Ok(Fits::Noted);
    };
    Ok(Fits::Refused(refusal))
}

impl DocumentContent {
    /// Takes what a key says of the content as a whole.
    fn add(&mut self, key: &NewDocumentKey) {
        if self.kinds.is_empty() && key.iv.is_some() {
            self.iv = key.iv;
        }
        if !self.kinds.contains(&key.kind) {
            self.kinds.push(key.kind);
            self.kinds.sort_unstable();
        }
        for track in &key.tracks {
            if let Err(at) = self.tracks.binary_search(track)
                && self.tracks.len() < TRACKS_MAX
            {
                self.tracks.insert(at, track.clone());
            }
        }
        for track in &key.key_of {
            if self.track_keys.len() < TRACKS_MAX && self.track_keys.iter().all(|(known, _)| known != track) {
                self.track_keys.push((track.clone(), key.kid));
            }
        }
    }
}

/// Rotates a content: new documents get keys of a new version, from the account's current seed.
pub(crate) fn rotate<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &AccountId,
    id: &ContentId,
) -> Result<Response, StateError> {
    let known = stored(run, account, id)?.filter(|content| !content.versions.is_empty());
    let (Some(mut content), Some(seed)) = (known, current(run, account)?) else {
        return Ok(refused(DocumentRefusal::NoContent));
    };
    // A key id that the server makes holds the number of its version.
    if content.versions.len() >= DOCUMENT_VERSIONS_MAX || content.next_version > u16::MAX.into() {
        return Ok(refused(DocumentRefusal::VersionsUsedUp));
    }
    let version = content.next_version;
    content.next_version = version.saturating_add(1);
    content.versions.push(DocumentVersion { version, seed: seed.number });
    run.put(Table::Documents, &content_key(account, id), &content)?;
    Ok(Response::Done)
}

fn refused(refusal: DocumentRefusal) -> Response {
    Response::DocumentRefused(Box::new(refusal))
}
