//! Documents that are asked for by parameters: made here, then answered like those that encryptors send.

use std::collections::BTreeSet;

use keymoot_auth::Grant;
use keymoot_cpix::{Composition, DrmSystem, KEYS_MAX, Settings, TrackType};
use keymoot_drm::ProtectionScheme;
use keymoot_model::{ContentId, Kid, TrackName};
use keymoot_protocol::query::parameter;
use keymoot_service::{Ingestion, WantedKeys, WantedTrack};

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;

/// What packagers call the content.
const CONTENT: [&str; 3] = ["contentId", "content_id", "content"];
/// What they call the key ids.
const KIDS: [&str; 3] = ["kids", "kid", "keyIds"];
const TRACKS: [&str; 2] = ["tracks", "track"];

/// The document that the parameters ask for. Without key ids each track has the key that every other protocol has for
/// it, made now if there is none.
pub(super) async fn document(
    query: &str,
    grant: &Grant,
    settings: &Settings,
    api: &Api,
) -> Result<String, ApiError> {
    let invalid = |message: String| ApiError::new(ErrorKind::Invalid, message);
    let content =
        one_of(query, &CONTENT)?.ok_or_else(|| invalid("Missing parameter contentId".to_owned()))?;
    let content =
        ContentId::new(content).map_err(|error| invalid(format!("Malformed contentId: {error}")))?;
    let scheme = match parameter(query, "scheme")? {
        None => ProtectionScheme::Cenc,
        Some(text) => text.parse().map_err(|_| invalid("Unsupported scheme".to_owned()))?,
    };
    let systems = systems(query, scheme, settings)?;
    let kids = list(query, &KIDS)?
        .into_iter()
        .map(|text| text.parse::<Kid>().map_err(|_| invalid("Malformed kids: each is a GUID".to_owned())));
    let kids = kids.collect::<Result<Vec<_>, _>>()?;
    let tracks = list(query, &TRACKS)?;
    let keys = match kids.is_empty() {
        true => made(&content, &tracks, grant, api).await?,
        false => given(kids, &tracks)?,
    };
    Ok(Composition { content: &content, keys: &keys, scheme, systems: &systems }.document())
}

/// Key ids of the packager's, in the order of their tracks.
fn given(kids: Vec<Kid>, tracks: &[String]) -> Result<Vec<(Kid, TrackType)>, ApiError> {
    let invalid = |message: &str| ApiError::new(ErrorKind::Invalid, message);
    let distinct: BTreeSet<&Kid> = kids.iter().collect();
    if kids.len() > KEYS_MAX || distinct.len() != kids.len() {
        return Err(invalid("Malformed kids: too many, or one twice"));
    }
    let names = match (tracks, kids.len()) {
        ([], 1) => vec!["ALL".to_owned()],
        (tracks, keys) if tracks.len() == keys => tracks.to_vec(),
        _ => return Err(invalid("Parameter tracks must name one track type for each of kids")),
    };
    kids.into_iter().zip(names).map(|(kid, name)| Ok((kid, track_type(&name)?))).collect()
}

/// The keys of the tracks, or of all tracks where none is named.
async fn made(
    content: &ContentId,
    tracks: &[String],
    grant: &Grant,
    api: &Api,
) -> Result<Vec<(Kid, TrackType)>, ApiError> {
    let named = |name: &String| {
        TrackName::new(name.as_str())
            .map_err(|error| ApiError::new(ErrorKind::Invalid, format!("Malformed tracks: {error}")))
    };
    let (names, types) = match tracks {
        [] => (vec![TrackName::default_track()], vec![track_type("ALL")?]),
        tracks => (
            tracks.iter().map(named).collect::<Result<Vec<_>, _>>()?,
            tracks.iter().map(|name| track_type(name)).collect::<Result<_, _>>()?,
        ),
    };
    let distinct: BTreeSet<&TrackName> = names.iter().collect();
    if names.len() > TRACKS_MAX || distinct.len() != names.len() {
        return Err(ApiError::new(ErrorKind::Invalid, "Malformed tracks: too many, or one twice"));
    }
    let wanted = WantedKeys::Tracks(names.iter().map(WantedTrack::created).collect());
    let served = api.keys.ingest(grant, Ingestion::of(content, wanted)).await?;
    Ok(served.keys.into_iter().map(|key| key.kid).zip(types).collect())
}

/// The most tracks whose keys are made at once.
const TRACKS_MAX: usize = 32;

fn track_type(name: &str) -> Result<TrackType, ApiError> {
    TrackType::new(name).ok_or_else(|| ApiError::new(ErrorKind::Invalid, "Malformed tracks"))
}

/// The systems that are named, or those of the account, or the common ones, as far as they play the scheme.
fn systems(query: &str, scheme: ProtectionScheme, settings: &Settings) -> Result<Vec<DrmSystem>, ApiError> {
    let named = list(query, &["systems"])?;
    if named.is_empty() {
        let usual = [DrmSystem::Widevine, DrmSystem::PlayReady, DrmSystem::FairPlay];
        let own = if settings.systems.is_empty() { &usual[..] } else { &settings.systems };
        let is_drm = |system: &&DrmSystem| **system != DrmSystem::Aes128 && system.plays(scheme);
        return Ok(own.iter().filter(is_drm).copied().collect());
    }
    let system = |name: &String| {
        let by_id = || name.parse().ok().and_then(|id| DrmSystem::of_id(&id));
        let by_name = DrmSystem::ALL.into_iter().find(|system| system.name().eq_ignore_ascii_case(name));
        by_name.or_else(by_id).ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            ApiError::new(ErrorKind::Invalid, format!("Unsupported system {shown}"))
        })
    };
    named.iter().map(system).collect()
}

/// The parameter, by whichever of its names.
fn one_of(query: &str, names: &[&'static str]) -> Result<Option<String>, ApiError> {
    for name in names {
        if let Some(text) = parameter(query, name)? {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn list(query: &str, names: &[&'static str]) -> Result<Vec<String>, ApiError> {
    let text = one_of(query, names)?.unwrap_or_default();
    Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}
