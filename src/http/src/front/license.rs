//! The uDRM license endpoint (uDRM 2.3.4): `{provider}/license`.
//!
//! The custom data is signed and comes in the query; the body is the DRM system's own challenge,
//! which the account did not sign. Players of Widevine Classic send custom data and signature in a
//! form body. Only a credential of scope `license` is accepted.

use actix_web::http::{Method, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};

use keymoot_auth::AuthHandle;
use keymoot_license::LicenseProvider;
use keymoot_license::upstream::UpstreamError;
use keymoot_model::Scope;
use keymoot_protocol::query::Query;
use keymoot_protocol::{CustomData, SignedPayload};
use keymoot_service::{LeaseError, License, LicenseError, LicenseRequest};

use crate::answer::cors;
use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use crate::request::authentication;
use crate::request::incoming_body::read_body;

/// Answers a request to `{provider}/license`, preflights of browsers included.
pub(crate) async fn license(
    provider: LicenseProvider,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    if *request.method() == Method::OPTIONS {
        return Ok(cors::preflight(request, "POST, OPTIONS", &api.allowed_origins));
    }
    let answer = issue(provider, request, payload, api, auth).await.map(respond);
    cors::allow(answer, request, &api.allowed_origins)
}

async fn issue(
    provider: LicenseProvider,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<License, ApiError> {
    if *request.method() != Method::POST {
        let message = format!("method {} is not supported here; use POST", request.method());
        return Err(ApiError::new(ErrorKind::MethodNotAllowed, message));
    }
    let body = read_body(request, payload, api).await?;
    let query = asked(provider, request, &body)?;
    let missing = "Missing custom data: give it as ?custom_data= in base64";
    let signed = query.custom_data.ok_or_else(|| ApiError::new(ErrorKind::Invalid, missing))?;
    let payload = SignedPayload::<CustomData>::read(signed)?;
    let claim = (Scope::License, &payload, query.signature);
    let grant = authentication::authenticate(request, body.clone(), claim, api, auth).await?;
    let custom_data = payload.value();
    if query.files.iter().any(|files| !are_signed_for(files, custom_data)) {
        let message = "parameter files names a file that the signed custom data does not";
        return Err(ApiError::new(ErrorKind::Invalid, message));
    }
    let asked = LicenseRequest { grant: &grant, custom_data, challenge: &body };
    Ok(api.licenses.issue(provider, asked).await?)
}

/// The parameters of the request: in its query, or in the form that Classic players post.
fn asked(provider: LicenseProvider, request: &HttpRequest, body: &Bytes) -> Result<Query, ApiError> {
    let query = Query::parse(request.query_string())?;
    if provider != LicenseProvider::WidevineClassic || query.custom_data.is_some() {
        return Ok(query);
    }
    let form = std::str::from_utf8(body).map_err(|_| {
        ApiError::new(ErrorKind::Invalid, "the body must be a form with custom_data and signature")
    })?;
    Ok(Query::parse(form)?)
}

/// Whether a list of files in the query keeps to the signed one. It never widens anything, and
/// custom data that names no files says nothing about them.
fn are_signed_for(files: &str, custom_data: &CustomData) -> bool {
    let signed = custom_data.files();
    signed.is_empty()
        || files
            .split(',')
            .map(str::trim)
            .filter(|file| !file.is_empty())
            .all(|file| signed.iter().any(|own| own == file))
}

fn respond(license: License) -> HttpResponse {
    // Wiped where the framework drops it, once it is sent.
    let body = Bytes::from_owner(license.body);
    HttpResponse::Ok()
        .content_type(license.content_type)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body)
}

impl From<LicenseError> for ApiError {
    fn from(error: LicenseError) -> Self {
        let kind = match error {
            LicenseError::Service(error) => return error.into(),
            LicenseError::Upstream(error) => return error.into(),
            LicenseError::Challenge(_) | LicenseError::Lease(LeaseError::Unnamed { .. }) => {
                ErrorKind::Invalid
            }
            LicenseError::NoKey | LicenseError::NotServed(_) => ErrorKind::NotFound,
            LicenseError::NotEntitled(ref reason) if !reason.is_refusal() => {
                // Asked again, whoever decides may answer. The cause is for the log alone.
                let cause = std::error::Error::source(reason).map(ToString::to_string);
                let message = error.to_string();
                let reason = format!("{message}: {}", cause.unwrap_or_default());
                return Self::with_reason(ErrorKind::Busy, message, reason);
            }
            LicenseError::NotEntitled(_)
            | LicenseError::Lease(_)
            | LicenseError::NotPersistent
            | LicenseError::NotPermitted(_)
            | LicenseError::NoPolicy { .. } => ErrorKind::Denied,
            _ => return Self::internal(error),
        };
        Self::new(kind, error.to_string()).counted_as("license")
    }
}

impl From<UpstreamError> for ApiError {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Refused { .. } => {
                let message = "the DRM system's license server refused the challenge";
                Self::with_reason(ErrorKind::Denied, message, error).counted_as("license")
            }
            UpstreamError::Busy { .. } => {
                Self::with_reason(ErrorKind::Busy, "the server is busy; try again", error)
            }
            _ => {
                let message = "no license server of the DRM system answered; try again";
                Self::with_reason(ErrorKind::Busy, message, error)
            }
        }
    }
}
