//! A key by its id: sixteen bytes.
//!
//! The encoder shows the token of its key-info, and must come from its account's allow-list. A player's
//! custom data is signed under a license key of the account, and opens the keys of the content that it
//! names to whoever is entitled to it, as for a license. A key that is not there, another content's, another
//! account's and a DRM system's read the same.
//!
//! HEAD is judged, entitled and audited as GET is, and answered with everything but the key: the framework sends no
//! body then.

use actix_web::http::Method;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use crate::answer::cors;
use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::wiped_json::wiped;
use crate::api::Api;
use crate::request::authentication;
use crate::request::caller::caller;
use crate::request::clock::now_s;
use keymoot_auth::{AuthHandle, Grant, Request};
use keymoot_model::{ContentId, Kid, Scope};
use keymoot_protocol::query::{self, Query};
use keymoot_protocol::{CustomData, SignedPayload};
use keymoot_service::LicenseRequest;

use super::key_tokens;

/// Answers a request for the key with this id, preflights of browsers included.
pub(crate) async fn key(
    kid: &str,
    request: &HttpRequest,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    if *request.method() == Method::OPTIONS {
        return Ok(cors::preflight(request, "GET, HEAD, OPTIONS", &api.allowed_origins));
    }
    cors::allow(found(kid, request, api, auth).await, request, &api.allowed_origins)
}

async fn found(
    kid: &str,
    request: &HttpRequest,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let kid: Kid = kid.parse().map_err(|error| {
        ApiError::new(ErrorKind::Invalid, format!("/hls/key/KID: {error}, with dashes or without"))
    })?;
    let (grant, content, player) = match query::parameter(request.query_string(), "token")? {
        Some(token) => {
            let (grant, content) = by_token(&token, &kid, request, api, auth).await?;
            (grant, content, None)
        }
        None => {
            let (grant, custom_data) = by_signature(request, api, auth).await?;
            (grant, custom_data.content_id().clone(), Some(custom_data))
        }
    };
    let found = api.keys.of_hls(&grant, &content, &kid).await?;
    let found = found.ok_or_else(|| {
        ApiError::new(ErrorKind::NotFound, format!("the content has no key {kid} of HLS AES-128"))
    })?;
    if let Some(custom_data) = &player {
        let asked = LicenseRequest { grant: &grant, custom_data, challenge: &[] };
        api.licenses.permit(asked, &found.place.track).await?;
    }
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header(("Cache-Control", "no-store"))
        .body(wiped(found.key.expose().to_vec())))
}

async fn by_token(
    token: &str,
    kid: &Kid,
    request: &HttpRequest,
    api: &Api,
    auth: &AuthHandle,
) -> Result<(Grant, ContentId), ApiError> {
    let tokens = key_tokens(api).await?;
    let token = tokens.read(token, kid, now_s()).ok_or_else(|| {
        ApiError::unauthorized("the token has ended, is another key's or was not made here")
            .counted_as("token")
    })?;
    let content = token.content().clone();
    let shown = Request::with_token(&token, caller(request, api)?);
    Ok((authentication::verify(request, shown, api, auth).await??, content))
}

async fn by_signature(
    request: &HttpRequest,
    api: &Api,
    auth: &AuthHandle,
) -> Result<(Grant, CustomData), ApiError> {
    let query = Query::parse(request.query_string())?;
    let custom_data = query.custom_data.ok_or_else(|| {
        ApiError::unauthorized("there is neither a token nor custom data").counted_as("missing")
    })?;
    let payload = SignedPayload::<CustomData>::read(custom_data)?;
    let claim = (Scope::License, &payload, query.signature);
    let grant = authentication::authenticate(request, Bytes::new(), claim, api, auth).await?;
    Ok((grant, payload.into_value()))
}
