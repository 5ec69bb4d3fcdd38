//! The keys that a challenge wants, as far as they are of the content that was signed for.

use crate::lookup::LocatedKey;
use crate::replicated_state::ReplicatedState;
use crate::{ContentTrack, ServedKey};
use keymoot_audit::KeyName;
use keymoot_crypto::ContentKey;
use keymoot_license::{LicensedKey, WantedKeys};
use keymoot_model::{ContentId, Kid, Period, TrackName};

use super::{LicenseError, LicenseRequest, Licenses};

/// The tracks of the Widevine API, whose keys a client wants that names no key ids, and the one of
/// clients that know no tracks.
const TRACKS: [&str; 6] = ["DEFAULT", "SD", "HD", "UHD1", "UHD2", "AUDIO"];

/// A key of the content that was signed for.
pub(super) struct FoundKey {
    kid: Kid,
    key: ContentKey,
    track: TrackName,
    version: u32,
    period: Option<Period>,
    iv: Option<[u8; 16]>,
}

impl FoundKey {
    pub(super) fn licensed(&self) -> LicensedKey<'_> {
        LicensedKey { kid: &self.kid, key: &self.key, track: &self.track, iv: self.iv }
    }

    /// What the audit calls it.
    pub(super) fn name(&self, content: &ContentId) -> KeyName {
        KeyName {
            content: Some(content.clone()),
            track: Some(self.track.clone()),
            kid: Some(self.kid),
            version: Some(self.version),
            period: self.period,
        }
    }

    pub(super) fn track(&self) -> &TrackName {
        &self.track
    }
}

impl From<LocatedKey> for FoundKey {
    fn from(LocatedKey { kid, key, place, version, period, iv, .. }: LocatedKey) -> Self {
        Self { kid, key, track: place.track, version, period, iv }
    }
}

impl<R: ReplicatedState> Licenses<R> {
    /// The keys that a challenge may have of those it wants, found before anything is counted or anybody else
    /// is asked.
    pub(super) async fn wanted(
        &self,
        request: LicenseRequest<'_>,
        wants: &WantedKeys,
    ) -> Result<Vec<FoundKey>, LicenseError> {
        match wants {
            WantedKeys::Certificate | WantedKeys::Nothing => Ok(Vec::new()),
            WantedKeys::Kids(kids) => self.of_kids(request, kids).await,
            WantedKeys::EveryTrack => self.of_tracks(request).await,
            WantedKeys::SignedFor => self.of_custom_data(request).await,
        }
    }

    /// The keys of these key ids that are the content's; at least one.
    async fn of_kids(
        &self,
        LicenseRequest { grant, custom_data, .. }: LicenseRequest<'_>,
        kids: &[Kid],
    ) -> Result<Vec<FoundKey>, LicenseError> {
        let keys = self.0.keys.of_content(grant, custom_data.content_id(), kids).await?;
        if keys.is_empty() {
            return Err(LicenseError::NoKey);
        }
        Ok(keys.into_iter().map(FoundKey::from).collect())
    }

    /// The content's current keys, of whatever track.
    async fn of_tracks(&self, request: LicenseRequest<'_>) -> Result<Vec<FoundKey>, LicenseError> {
        let LicenseRequest { grant, custom_data, .. } = request;
        let mut found: Vec<FoundKey> = Vec::new();
        let mut tracks = Vec::with_capacity(TRACKS.len());
        for name in TRACKS {
            tracks.push(TrackName::new(name).map_err(LicenseError::Name)?);
        }
        let named = self.0.keys.document_tracks(&grant.account().id, custom_data.content_id())?;
        tracks.extend(named.into_iter().filter(|track| *track != TrackName::hls_aes_128()));
        for track in tracks {
            let key = self.current(request, &track).await?;
            // Tracks of documents may share a key.
            found.extend(key.filter(|key| found.iter().all(|known| known.kid != key.kid)));
        }
        if found.is_empty() { Err(LicenseError::NoKey) } else { Ok(found) }
    }

    /// The key that the signed custom data means: that of its `key_id`, else its track's current one.
    async fn of_custom_data(&self, request: LicenseRequest<'_>) -> Result<Vec<FoundKey>, LicenseError> {
        match request.custom_data.kid() {
            Some(kid) => self.of_kids(request, &[kid]).await,
            None => {
                let key = self.current(request, request.custom_data.track()).await?;
                key.map(|key| vec![key]).ok_or(LicenseError::NoKey)
            }
        }
    }

    async fn current(
        &self,
        LicenseRequest { grant, custom_data, .. }: LicenseRequest<'_>,
        track: &TrackName,
    ) -> Result<Option<FoundKey>, LicenseError> {
        let place = ContentTrack::new(custom_data.content_id(), track);
        let served = self.0.keys.current_for_license(grant, place).await?;
        let found = |ServedKey { kid, key, version, iv }| FoundKey {
            kid,
            key,
            track: track.clone(),
            version,
            period: None,
            iv,
        };
        let Some(found) = served.map(found) else { return Ok(None) };
        // A document's key may be that of other tracks as well, whose terms hold too.
        let noted = self.0.keys.noted_key(&grant.account().id, &found.kid)?;
        Ok(Some(match noted {
            Some(noted) if noted.place.content == *custom_data.content_id() => {
                FoundKey { track: noted.place.track, ..found }
            }
            _ => found,
        }))
    }
}
