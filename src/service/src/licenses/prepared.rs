//! A challenge, read, with the keys that it may have: what is found out before anything is counted
//! or anybody else is asked.

use crate::lookup::LocatedKey;
use crate::replicated_state::ReplicatedState;
use crate::{ContentTrack, ServedKey};
use keymoot_crypto::ContentKey;
use keymoot_license::clear_key::{ClearKeyRequest, SessionType};
use keymoot_license::terms::clear_key::permit;
use keymoot_license::widevine::WidevineChallenge;
use keymoot_license::{LicenseProvider, LicensedKey, fairplay, playready};
use keymoot_model::{Kid, Policy, TrackName};

use super::{LicenseError, LicenseRequest, Licenses};

/// The tracks of the Widevine API, whose keys a client wants that names no key ids, and the one of
/// clients that know no tracks.
const TRACKS: [&str; 6] = ["DEFAULT", "SD", "HD", "UHD1", "UHD2", "AUDIO"];

/// A challenge and the keys for it.
pub(super) enum Prepared {
    ClearKey { keys: Vec<FoundKey>, session: SessionType },
    Widevine { keys: Vec<FoundKey> },
    PlayReady { keys: Vec<FoundKey> },
    FairPlay { keys: Vec<FoundKey>, spc: Vec<u8> },
}

impl Prepared {
    pub(super) fn keys(&self) -> &[FoundKey] {
        match self {
            Self::ClearKey { keys, .. } | Self::Widevine { keys } => keys,
            Self::PlayReady { keys } | Self::FairPlay { keys, .. } => keys,
        }
    }

    /// Refuses what the policy does not let this system have. Others get the policy with the keys.
    pub(super) fn must_be_permitted(&self, policy: &Policy) -> Result<(), LicenseError> {
        let Self::ClearKey { keys, session } = self else { return Ok(()) };
        if *session == SessionType::Persistent && !policy.can_persist {
            return Err(LicenseError::NotPersistent);
        }
        keys.iter().try_for_each(|key| permitted(policy, &key.track))
    }
}

/// Whether the policy lets a key of this track out in the clear.
pub(super) fn permitted(policy: &Policy, track: &TrackName) -> Result<(), LicenseError> {
    permit(policy, track)?;
    Ok(())
}

/// A key of the content that was signed for.
pub(super) struct FoundKey {
    kid: Kid,
    key: ContentKey,
    track: TrackName,
}

impl FoundKey {
    pub(super) fn licensed(&self) -> LicensedKey<'_> {
        LicensedKey { kid: &self.kid, key: &self.key, track: &self.track }
    }
}

impl From<LocatedKey> for FoundKey {
    fn from(LocatedKey { kid, key, place, .. }: LocatedKey) -> Self {
        Self { kid, key, track: place.track }
    }
}

/// Whether a Widevine challenge asks for the service certificate.
pub(super) fn wants_certificate(challenge: &[u8]) -> bool {
    WidevineChallenge::parse(challenge) == Ok(WidevineChallenge::ServiceCertificate)
}

impl<R: ReplicatedState> Licenses<R> {
    /// Reads the challenge and finds its keys.
    pub(super) async fn prepare(
        &self,
        provider: LicenseProvider,
        request: LicenseRequest<'_>,
    ) -> Result<Prepared, LicenseError> {
        let challenge = request.challenge;
        Ok(match provider {
            LicenseProvider::ClearKey => {
                let ClearKeyRequest { kids, session } = ClearKeyRequest::parse(challenge)?;
                Prepared::ClearKey { keys: self.of_kids(request, &kids).await?, session }
            }
            LicenseProvider::CencWidevine => {
                let keys = match WidevineChallenge::parse(challenge)? {
                    WidevineChallenge::New { kids } if kids.is_empty() => self.of_tracks(request).await?,
                    WidevineChallenge::New { kids } => self.of_kids(request, &kids).await?,
                    WidevineChallenge::Existing | WidevineChallenge::ServiceCertificate => Vec::new(),
                };
                Prepared::Widevine { keys }
            }
            LicenseProvider::CencPlayReady | LicenseProvider::PlayReady => {
                let kids = playready::kids(challenge)?;
                Prepared::PlayReady { keys: self.of_kids(request, &kids).await? }
            }
            LicenseProvider::FairPlay => {
                let spc = fairplay::read_spc(challenge)?;
                Prepared::FairPlay { keys: self.of_custom_data(request).await?, spc }
            }
            LicenseProvider::WidevineClassic => return Err(LicenseError::NoClassic),
        })
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
        let mut found = Vec::new();
        for name in TRACKS {
            let track = TrackName::new(name).map_err(LicenseError::Name)?;
            found.extend(self.current(request, &track).await?);
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
        Ok(served.map(|ServedKey { kid, key, .. }| FoundKey { kid, key, track: track.clone() }))
    }
}
