//! From a key id, or a track, to the key that documents gave it: for licenses, and for front ends that know tracks alone.

use keymoot_crypto::Keyring;
use keymoot_drm::fairplay::constant_iv;
use keymoot_model::{AccountId, ContentId, KeyKind, KeyPath, Kid, TrackName};
use keymoot_state as state;
use keymoot_state::{DocumentKeyRecord, NotedKid};

use super::plan::{VersionOf, protected_track, version_of};
use super::seeds::OpenSeeds;
use crate::error::ServiceError;
use crate::keys::{Keys, ServedKey};
use crate::lookup::LocatedKey;
use crate::replicated_state::ReplicatedState;

/// The key of a record.
pub(crate) fn derived_key(keyring: &Keyring, record: &DocumentKeyRecord) -> Result<ServedKey, ServiceError> {
    let (account, seed) = (&record.place.account, &record.seed);
    let seed = keyring.unwrap_document_seed(account, seed.id, &seed.seed)?;
    let keys = keymoot_crypto::DocumentKeys::new(&seed, account, &record.place.content, record.version);
    let key = keys.key(record.kind, &record.kid);
    Ok(ServedKey { kid: record.kid, key, version: record.version, iv: record.iv })
}

impl<R: ReplicatedState> Keys<R> {
    /// The key that documents gave a track, if they did.
    pub(crate) fn document_key_of(&self, place: &KeyPath) -> Result<Option<ServedKey>, ServiceError> {
        let record = state::document_key_of_track(self.cluster.state(), place)?;
        record.map(|record| derived_key(&self.keyring, &record)).transpose()
    }

    /// The tracks that documents gave a key.
    pub(crate) fn document_tracks(
        &self,
        account: &AccountId,
        content: &ContentId,
    ) -> Result<Vec<TrackName>, ServiceError> {
        let content = state::document_content(self.cluster.state(), account, content)?;
        let tracks = content.map(|content| content.track_keys).unwrap_or_default();
        Ok(tracks.into_iter().map(|(track, _)| track).collect())
    }

    /// The key of a noted key id, unless it was deleted.
    pub(crate) fn noted_key(
        &self,
        account: &AccountId,
        kid: &Kid,
    ) -> Result<Option<LocatedKey>, ServiceError> {
        match state::noted_kid(self.cluster.state(), account, kid)? {
            Some(noted) if !noted.is_deleted => {
                let NotedKid { content, version, kind, tracks, iv, .. } = noted;
                let mut seeds = OpenSeeds::new(self.cluster.state(), &self.keyring, account);
                let key = seeds.keys(&content, version)?.key(kind, kid);
                let place = KeyPath { account: account.clone(), content, track: TrackName::sum(&tracks) };
                let version = version.version;
                Ok(Some(LocatedKey {
                    place,
                    version,
                    kid: *kid,
                    key,
                    period: None,
                    iv,
                    is_of_document: true,
                }))
            }
            _ => Ok(None),
        }
    }

    /// The key that a content derives for a key id of which nothing is stored or noted; `None` for a content that no
    /// document made, or none of this kind. Under a key id that no document named it opens nothing.
    pub(crate) fn unnoted_key(
        &self,
        account: &AccountId,
        content_id: &ContentId,
        kid: &Kid,
        kind: KeyKind,
    ) -> Result<Option<LocatedKey>, ServiceError> {
        let tables = self.cluster.state();
        let Some(content) = state::document_content(tables, account, content_id)? else { return Ok(None) };
        if !content.kinds.contains(&kind) || state::noted_kid(tables, account, kid)?.is_some() {
            return Ok(None);
        }
        let mut seeds = OpenSeeds::new(tables, &self.keyring, account);
        let version = match version_of(kid, content_id, &content, &mut seeds)? {
            VersionOf::Known(version) => version,
            // Found once the rotation is applied here; whoever looks again has waited for that.
            VersionOf::Later => return Ok(None),
        };
        let key = seeds.keys(content_id, version)?.key(kind, kid);
        let track = protected_track(kind, &content);
        let place = KeyPath { account: account.clone(), content: content_id.clone(), track };
        let iv = content.iv.filter(|iv| *iv != constant_iv(kid));
        let version = version.version;
        Ok(Some(LocatedKey { place, version, kid: *kid, key, period: None, iv, is_of_document: true }))
    }
}
