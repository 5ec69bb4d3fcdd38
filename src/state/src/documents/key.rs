//! What the key of a noted key id derives from.

use serde::{Deserialize, Serialize};

use keymoot_model::{AccountId, KeyKind, KeyPath, Kid, TrackName};

use super::seeds::{DocumentSeedRecord, seed_of};
use super::{NotedKid, noted, stored};
use crate::tables::{StateError, Tables};
use crate::transaction::Transaction;

/// What a key of a document derives from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentKeyRecord {
    pub place: KeyPath,
    pub kid: Kid,
    pub kind: KeyKind,
    /// The content's version.
    pub version: u32,
    pub seed: DocumentSeedRecord,
    /// The IV that its licenses announce; `None`: the one that follows from the key id.
    pub iv: Option<[u8; 16]>,
    /// Whether the key was deleted: then nobody gets it.
    pub is_deleted: bool,
}

/// The key that documents gave a track, for front ends that know tracks and no key ids of encryptors.
///
/// # Errors
/// When the tables cannot be read.
pub fn document_key_of_track<T: Tables>(
    tables: &T,
    place: &KeyPath,
) -> Result<Option<DocumentKeyRecord>, StateError> {
    key_of_track(&Transaction::new(tables), place)
}

pub(crate) fn key_of_track<T: Tables>(
    run: &Transaction<'_, T>,
    place: &KeyPath,
) -> Result<Option<DocumentKeyRecord>, StateError> {
    let Some(content) = stored(run, &place.account, &place.content)? else { return Ok(None) };
    let Some((_, kid)) = content.track_keys.iter().find(|(track, _)| *track == place.track) else {
        return Ok(None);
    };
    match noted(run, &place.account, kid)? {
        Some(noted) if noted.content == place.content && !noted.is_deleted => {
            of(run, &place.account, *kid, noted, place.track.clone()).map(Some)
        }
        _ => Ok(None),
    }
}

/// The key of a noted key id, of its first track.
pub(crate) fn key_of_noted<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    kid: &Kid,
) -> Result<Option<DocumentKeyRecord>, StateError> {
    let Some(noted) = noted(run, account, kid)? else { return Ok(None) };
    let track = noted.tracks.first().cloned().unwrap_or_else(TrackName::default_track);
    of(run, account, *kid, noted, track).map(Some)
}

fn of<T: Tables>(
    run: &Transaction<'_, T>,
    account: &AccountId,
    kid: Kid,
    noted: NotedKid,
    track: TrackName,
) -> Result<DocumentKeyRecord, StateError> {
    let NotedKid { content, version, kind, is_deleted, iv, .. } = noted;
    let seed = seed_of(run, account, version.seed)?;
    let place = KeyPath { account: account.clone(), content, track };
    Ok(DocumentKeyRecord { place, kid, kind, version: version.version, seed, iv, is_deleted })
}
