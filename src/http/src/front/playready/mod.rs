//! PlayReady's AcquirePackagingData: `POST /playready/acquirepackagingdata/{account}`, SOAP in and out.
//!
//! A packager names a program and gets its key, made now if it has none, with the PlayReady Object that
//! goes into the media. It is the key of the content's default track, the one that uDRM's PlayReady
//! endpoints hand out. Such packagers cannot sign: a client certificate of the account lets them in, or
//! their address where the account opted in. Refusals are SOAP faults.

mod answer;

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use keymoot_auth::{AuthHandle, Request, Unproved};
use keymoot_drm::{LicenseUrl, OwnedContentKeyInfo, ProtectionScheme, System};
use keymoot_model::{AccountId, TrackName};
use keymoot_protocol::playready::PackagingRequest;
use keymoot_protocol::query;
use keymoot_service::{Ingestion, WantedKeys};

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use crate::request::authentication::{self, read_listed_body};
use crate::request::caller::caller;
use crate::request::proofs;

/// Answers a request for packaging data of an account, which the path names.
pub(crate) async fn packaging_data(
    account: &str,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let scheme = scheme(request.query_string())?;
    let body = read_listed_body(request, payload, api).await?;
    let asked = PackagingRequest::parse(&body)
        .map_err(|error| ApiError::new(ErrorKind::Invalid, error.to_string()))?;
    // A name that no account can have is refused like one that no account has.
    let account =
        AccountId::new(account).map_err(|error| ApiError::unauthorized(error).counted_as("unsigned"))?;
    let unsigned = Request::unsigned(account, caller(request, api)?, Unproved::ByOptIn)
        .for_content(Some(asked.content.clone()))
        .with_proofs(proofs::of_connection(request));
    let grant = authentication::verify(request, unsigned, api, auth).await??;
    let track = TrackName::default_track();
    let wanted = Ingestion::of(&asked.content, WantedKeys::created(&track));
    let served = api.keys.ingest(&grant, wanted).await?.into_key()?;
    let license_url = grant.account().playready_la_url.as_deref().map(LicenseUrl::new).transpose()?;
    let info = OwnedContentKeyInfo {
        kid: served.kid,
        key: Some(zeroize::Zeroizing::new(*served.key.expose())),
        iv: None,
        content: asked.content,
        account: grant.account().id.clone(),
        track,
        scheme,
        period: None,
        playready_license_url: license_url,
    };
    let data = api.drm.data_of(System::PlayReady, vec![info]).await?;
    let data = data.first().ok_or_else(|| ApiError::internal("the provider made no data"))?;
    Ok(answer::packaging_data(&served, data))
}

/// How the packager will encrypt: the request does not say, so the address does, as `scheme=cbcs`.
fn scheme(query_string: &str) -> Result<ProtectionScheme, ApiError> {
    let invalid = |message: &str| ApiError::new(ErrorKind::Invalid, message);
    match query::parameter(query_string, "scheme")?.as_deref() {
        None => Ok(ProtectionScheme::Cenc),
        Some(text) => match text.parse() {
            Ok(scheme @ (ProtectionScheme::Cenc | ProtectionScheme::Cbcs)) => Ok(scheme),
            _ => Err(invalid("parameter scheme must be cenc or cbcs; PlayReady plays no other")),
        },
    }
}
