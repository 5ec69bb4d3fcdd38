//! What a key id cannot be given as: of another content, of the other kind, with another IV, or at all.

use keymoot_drm::fairplay::constant_iv;
use keymoot_model::{KeyKind, Kid, TrackName};
use keymoot_state::{DocumentRefusal, NotedKid};

use super::plan::{KeyOriginOf, PlannedKey};
use super::{DocumentKeySource, WantedDocumentKey};
use crate::error::ServiceError;
use crate::lookup::LocatedKey;

/// What is stored for the key id wins, if it may be given here.
pub(super) fn stored_key(wanted: &WantedDocumentKey, stored: LocatedKey) -> Result<PlannedKey, ServiceError> {
    let (content, kid, kind) = (wanted.content.clone(), wanted.kid, wanted.kind);
    if stored.place.content != content {
        let content = stored.place.content;
        return Err(conflict(&DocumentRefusal::OtherContent { kid, content }));
    }
    let is_clear = stored.place.track == TrackName::hls_aes_128();
    if is_clear != (kind == KeyKind::Clear) {
        return Err(conflict(&DocumentRefusal::OtherKind(kid)));
    }
    let iv = constant_iv(&kid);
    if wanted.announced_iv.is_some_and(|announced| announced != iv) {
        return Err(conflict(&DocumentRefusal::OtherIv(kid)));
    }
    let (track, source) = (stored.place.track.clone(), DocumentKeySource::Stored);
    Ok(PlannedKey {
        content,
        kid,
        kind,
        origin: KeyOriginOf::Stored(Box::new(stored)),
        source,
        track,
        iv,
        news: None,
    })
}

/// Refuses a key id that is noted as something else.
pub(super) fn must_be_of(
    wanted: &WantedDocumentKey,
    kid: &Kid,
    noted: &NotedKid,
) -> Result<(), ServiceError> {
    let kid = *kid;
    let iv = noted.iv.unwrap_or_else(|| constant_iv(&kid));
    let refusal = if noted.content != wanted.content {
        DocumentRefusal::OtherContent { kid, content: noted.content.clone() }
    } else if noted.is_deleted {
        DocumentRefusal::Deleted(kid)
    } else if noted.kind != wanted.kind {
        DocumentRefusal::OtherKind(kid)
    } else if wanted.announced_iv.is_some_and(|announced| announced != iv) {
        DocumentRefusal::OtherIv(kid)
    } else {
        return Ok(());
    };
    Err(conflict(&refusal))
}

pub(super) fn conflict(refusal: &DocumentRefusal) -> ServiceError {
    ServiceError::Conflict(refusal.to_string())
}
