//! The uDRM encryption endpoint (uDRM 2.3.3, 2.3.5): `{provider}/encryption`.

use actix_web::http::Method;
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use keymoot_auth::{AuthHandle, Grant};
use keymoot_drm::EncryptionProvider;
use keymoot_model::TrackName;
use keymoot_protocol::{CustomData, ScheduleData, SignedPayload};
use keymoot_service::{ContentTrack, Ingestion, KeyChange, ServedKey, WantedKeys, WantedTrack};

use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::key_answer::{self, AuxiliaryAnswer, KeyAnswer};
use crate::answer::system_data;
use crate::api::Api;
use crate::request::custom_data::{self, ProvedRequest, supplied};
use crate::request::own_url::license_base;

/// Answers a request to `{provider}/encryption`.
pub(crate) async fn encryption(
    provider: EncryptionProvider,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let ProvedRequest { grant, payload, wants_auxiliary } =
        custom_data::receive(request, payload, api, auth).await?;
    let custom_data = payload.value();
    let content = custom_data.content_id();
    let name = custom_data::track(provider, custom_data)?;
    let scheme = custom_data::scheme(provider, request, custom_data)?;
    let served = match *request.method() {
        Method::GET => read(&grant, custom_data, ContentTrack::new(content, &name), api).await?,
        Method::POST => ingest(&grant, custom_data, &name, KeyChange::Create, api).await?,
        Method::PUT => {
            must_not_be_of_periods(&grant, &payload)?;
            ingest(&grant, custom_data, &name, KeyChange::Replace, api).await?
        }
        _ => {
            let track = ContentTrack::new(content, &name);
            let versions = api.keys.delete(&grant, track, custom_data.kid()).await?;
            return key_answer::deleted(content, versions);
        }
    };
    let stored = if wants_auxiliary { api.keys.auxiliary(&grant, content).await? } else { None };
    let auxiliary = match wants_auxiliary {
        true => AuxiliaryAnswer::Asked(stored.as_ref()),
        false => AuxiliaryAnswer::NotAsked,
    };
    let of_track = (content, &name);
    let systems = system_data::of_key((provider, scheme), api, grant.account(), of_track, &served)?;
    key_answer::key(&KeyAnswer {
        provider,
        iv: provider.constant_iv(scheme, &served.kid).map(|own| served.iv.unwrap_or(own)),
        account: grant.account(),
        shape: grant.account().response_shape,
        content,
        served: &served,
        systems: &systems,
        license_base: &license_base(request, api),
        auxiliary,
    })
}

/// What was signed to give a rotating track a new seed does not replace a content's key, too.
fn must_not_be_of_periods(grant: &Grant, payload: &SignedPayload<CustomData>) -> Result<(), ApiError> {
    let of_periods = |data: ScheduleData| data.length_s.is_some();
    if grant.is_bound_sha1() && ScheduleData::parse(payload.bytes()).is_ok_and(of_periods) {
        let message = "custom data with crypto_period_seconds are for PUT of /{provider}/schedule only";
        return Err(ApiError::new(ErrorKind::Invalid, message));
    }
    Ok(())
}

/// The track's key, new or not, with what comes along for its content. POST adds what is not there and PUT
/// overrides: policy and auxiliary data as they do with the key.
async fn ingest(
    grant: &Grant,
    custom_data: &CustomData,
    track: &TrackName,
    change: KeyChange,
    api: &Api,
) -> Result<ServedKey, ApiError> {
    let policy = custom_data.policy()?;
    let wanted = WantedTrack { track, change, supplied: supplied(custom_data)? };
    let wanted = Ingestion {
        content: custom_data.content_id(),
        keys: WantedKeys::Tracks(vec![wanted]),
        policy,
        auxiliary: custom_data.auxiliary().cloned(),
        if_absent: change == KeyChange::Create,
    };
    Ok(api.keys.ingest(grant, wanted).await?.into_key()?)
}

/// The track's current key, or the version of the key id that is named.
async fn read(
    grant: &Grant,
    custom_data: &CustomData,
    track: ContentTrack<'_>,
    api: &Api,
) -> Result<ServedKey, ApiError> {
    let content = custom_data.content_id();
    let served = match custom_data.kid() {
        Some(kid) => api.keys.read_version(grant, track, &kid).await?,
        None => api.keys.read(grant, track).await?,
    };
    served.ok_or_else(|| {
        let message = match custom_data.kid() {
            Some(kid) => format!("content {content} has no key with key_id {}", kid.to_base64()),
            None => format!("content {content} has no key; POST creates one"),
        };
        ApiError::new(ErrorKind::NotFound, message)
    })
}
