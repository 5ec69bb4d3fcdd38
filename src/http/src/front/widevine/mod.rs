//! The Widevine common encryption API: `POST /cenc/getcontentkey[/{account}]`, as packagers speak it.
//!
//! Whatever happens to a request is told by the `status` of its answer; the HTTP status is 200, because
//! packagers give up at any other, and try again only when they read `INTERNAL_ERROR`. So that is also
//! what they are told when no quorum could be reached in time.

pub(crate) mod answer;
mod periods;
mod refusal;

use std::net::IpAddr;

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use zeroize::Zeroizing;

use keymoot_auth::{AuthError, AuthHandle, Grant, Request, Unproved};
use keymoot_crypto::ContentKey;
use keymoot_drm::{LicenseUrl, OwnedContentKeyInfo, System};
use keymoot_model::{AccountId, ContentId, Kid, TrackName};
use keymoot_protocol::widevine::{
    AskedTrack, ContentKeyEnvelope, ContentKeyRequest, DrmType, KIDS_MAX, Specifier, Status, track_type,
};
use keymoot_service::{Ingested, Ingestion, KeyChange, LocatedKey, PERIODS_MAX, WantedKeys, WantedTrack};

use crate::answer::audited;
use crate::answer::error::ApiError;
use crate::api::Api;
use crate::request::authentication;
use crate::request::caller::caller;
use crate::request::incoming_body::read_body;
use crate::request::proofs;
use answer::TrackKey;
use periods::periods;
use refusal::Refusal;

// Whoever may ask for a key of each period may look as many up.
const _: () = assert!(KIDS_MAX <= PERIODS_MAX as usize);

/// Answers a request; `account` is the last segment of the path, if it names one.
pub(crate) async fn content_key(
    account: Option<&str>,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let caller = caller(request, api)?;
    if let Err(error) = authentication::must_be_listed(request, api).await {
        return unlisted(error, api);
    }
    let body = read_body(request, payload, api).await?;
    let answered = async {
        let envelope = ContentKeyEnvelope::parse(&body)?;
        let asked = ContentKeyRequest::parse(&envelope.request);
        let content = asked.as_ref().ok().and_then(|asked| asked.content().cloned());
        let proving = proving(account, envelope, caller)?
            .with_proofs(proofs::of_connection(request))
            .for_content(content);
        let grant = authenticate(request, proving, api, auth).await?;
        serve(&asked?, &grant, api).await
    };
    let (status, answer) = match answered.await {
        Ok(answer) => (Status::Ok, answer),
        Err(refusal) => (refusal.status, refused(&refusal)),
    };
    api.metrics.widevine_answers_total.with_label_values(&[status.name()]).inc();
    Ok(answer)
}

/// What a packager is told that gets no key, which the audit calls a refusal.
fn refused(refusal: &Refusal) -> HttpResponse {
    audited::refuse(refusal.outcome(), &refusal.reason, refusal.reference);
    answer::refusal(refusal)
}

/// A refusal of this server that another one may not make, or this one later.
pub(crate) fn unavailable(error: ApiError, api: &Api) -> HttpResponse {
    api.metrics.widevine_answers_total.with_label_values(&[Status::InternalError.name()]).inc();
    refused(&Refusal::of(Status::InternalError, error))
}

/// The answer to a caller whose address no account lists, in the words of this API.
fn unlisted(error: ApiError, api: &Api) -> Result<HttpResponse, ApiError> {
    let Some(reason) = error.refusal() else { return Err(error) };
    api.metrics.auth_refusals_total.with_label_values(&[reason]).inc();
    let status = Status::AccessDenied;
    api.metrics.widevine_answers_total.with_label_values(&[status.name()]).inc();
    Ok(refused(&Refusal::of(status, error.saying(status.meaning()))))
}

/// Whose request it claims to be, and what proves that: the signature where there is one. Else it is an
/// unsigned one like any other protocol's, served by a client certificate or where the account opts in.
fn proving(account: Option<&str>, envelope: ContentKeyEnvelope, caller: IpAddr) -> Result<Request, Refusal> {
    let signer = envelope.signature.as_ref().map(|signature| signature.signer.as_str());
    let nobody = || Refusal::new(Status::AccessDenied, "name the account in the path, or as the signer");
    let name = account.or(signer).ok_or_else(nobody)?;
    // A name that no account can have is refused like one that no account has.
    let denied = if signer.is_some() { Status::SignatureFailed } else { Status::AccessDenied };
    let id = AccountId::new(name).map_err(|_| Refusal::new(denied, denied.meaning()))?;
    Ok(match envelope.signature {
        Some(signature) => Request::signed_for_widevine(id, signature, caller),
        None => Request::unsigned(id, caller, Unproved::ByOptIn),
    })
}

async fn authenticate(
    http: &HttpRequest,
    request: Request,
    api: &Api,
    auth: &AuthHandle,
) -> Result<Grant, Refusal> {
    authentication::verify(http, request, api, auth).await?.map_err(|error| {
        if let AuthError::Denied(denied) = &error {
            api.metrics.auth_refusals_total.with_label_values(&[denied.reason()]).inc();
        }
        error.into()
    })
}

async fn serve(asked: &ContentKeyRequest, grant: &Grant, api: &Api) -> Result<HttpResponse, Refusal> {
    let keys = match &asked.specifier {
        Specifier::Kids(kids) => located(kids, asked, grant, api).await?,
        Specifier::Content(content) => ingested(content, asked, grant, api).await?,
    };
    let mut data = Vec::with_capacity(asked.systems.len());
    for drm in &asked.systems {
        let of_system = match system(*drm) {
            Some(system) => api.drm.data_of(system, infos(system, asked, &keys, grant)?).await?,
            None => Vec::new(),
        };
        data.push((*drm, of_system));
    }
    answer::keys(asked, &keys, &data).map_err(|error| Refusal::from(ApiError::internal(error)))
}

/// The system whose data is made; FairPlay has none.
const fn system(drm: DrmType) -> Option<System> {
    match drm {
        DrmType::Widevine => Some(System::Widevine),
        DrmType::PlayReady => Some(System::PlayReady),
        DrmType::FairPlay => None,
    }
}

/// What a system is told of each key.
fn infos(
    system: System,
    asked: &ContentKeyRequest,
    keys: &[TrackKey],
    grant: &Grant,
) -> Result<Vec<OwnedContentKeyInfo>, Refusal> {
    let account = grant.account();
    // Of Widevine's data neither is a part.
    let is_playready = system == System::PlayReady;
    let license_url = account.playready_la_url.as_deref().filter(|_| is_playready);
    let license_url = license_url.map(LicenseUrl::new).transpose()?;
    let info = |key: &TrackKey| OwnedContentKeyInfo {
        kid: key.kid,
        key: is_playready.then(|| Zeroizing::new(*key.key.expose())),
        iv: None,
        content: key.content.clone(),
        account: account.id.clone(),
        track: key.track.clone(),
        scheme: asked.scheme,
        period: key.period,
        playready_license_url: license_url.clone(),
    };
    Ok(keys.iter().map(info).collect())
}

/// The keys of the content's tracks or of their periods, made now where there are none: all tracks of the
/// first period, then all of the next. The policy that the packager names is attached unless one is: a
/// packager of a live stream asks again and again, and must not undo what was changed since.
async fn ingested(
    content: &ContentId,
    asked: &ContentKeyRequest,
    grant: &Grant,
    api: &Api,
) -> Result<Vec<TrackKey>, Refusal> {
    let names = || asked.tracks.iter().map(|track| &track.name);
    let keys = match periods(asked)? {
        None => WantedKeys::Tracks(asked.tracks.iter().map(wanted).collect()),
        Some(range) => WantedKeys::Periods { tracks: names().collect(), range },
    };
    let wanted = Ingestion { policy: asked.policy.as_ref(), ..Ingestion::of(content, keys) };
    let Ingested { keys, periods } = api.keys.ingest(grant, wanted).await?;
    let of_track = |track: &TrackName, kid, key, iv, period| {
        let (track, content) = (track.clone(), content.clone());
        TrackKey { track, content, kid, key, iv, period }
    };
    let whole = names().zip(keys);
    let mut keys: Vec<TrackKey> =
        whole.map(|(track, served)| of_track(track, served.kid, served.key, served.iv, None)).collect();
    for (track, periods) in names().zip(periods) {
        let served = periods.into_iter();
        keys.extend(served.map(|served| of_track(track, served.kid, served.key, None, Some(served.period))));
    }
    // The sort is stable: within a period the tracks stay as they were asked for.
    keys.sort_by_key(|key| key.period.map(|period| period.index));
    Ok(keys)
}

/// A track's key, made when there is none. One that the client brings along is stored as it is: the track has that key
/// then, or the client is told that it has another.
fn wanted(asked: &AskedTrack) -> WantedTrack<'_> {
    match &asked.supplied {
        None => WantedTrack::created(&asked.name),
        Some((kid, key)) => {
            let supplied = Some((*kid, ContentKey::from_bytes(key)));
            WantedTrack { track: &asked.name, change: KeyChange::Import, supplied }
        }
    }
}

/// The keys that pssh data names, as far as they are the account's. Who looks keys up by their ids changes
/// nothing, but is told when there is no policy of the name given.
async fn located(
    kids: &[Kid],
    asked: &ContentKeyRequest,
    grant: &Grant,
    api: &Api,
) -> Result<Vec<TrackKey>, Refusal> {
    let account = grant.account();
    if let Some(policy) = &asked.policy {
        api.policies.named(account, policy, account.consistency).await?;
    }
    let own: Vec<LocatedKey> = api.keys.look_up(grant, kids).await?.into_iter().flatten().collect();
    if own.is_empty() {
        return Err(Refusal::new(Status::AssetNotFound, "the account has no key with such a key id"));
    }
    if own.len() < kids.len() {
        return Err(Refusal::new(
            Status::AssetMissingKey,
            "the account has not all keys that the pssh names",
        ));
    }
    Ok(own.into_iter().map(|key| in_api_terms(key, asked)).collect())
}

/// A track that this API does not know, as uDRM's, goes by the type that was asked for first.
fn in_api_terms(key: LocatedKey, asked: &ContentKeyRequest) -> TrackKey {
    let track = match track_type(key.place.track.as_str()) {
        Some(_) => key.place.track.clone(),
        None => asked.tracks.first().map_or_else(TrackName::default_track, |track| track.name.clone()),
    };
    let LocatedKey { place, kid, key, period, iv, .. } = key;
    TrackKey { track, content: place.content, kid, key, period, iv }
}
