//! SPEKE 1, 2.0 and 2.1 and plain CPIX: documents in, the same documents with keys and system data out.
//!
//! `keymoot-cpix` reads and fills them in, the service has the keys; here a request's account is found and proved, its
//! settings are applied, and what goes wrong is told in SPEKE's words. Refusals are text, which a header repeats.

mod composed;
mod whose;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use zeroize::Zeroizing;

use keymoot_auth::{AuthHandle, Grant};
use keymoot_cpix::{DrmSystem, Fault, PolicySignals, Protocol, Settings, SuppliedKey, WantedKey};
use keymoot_license::LicenseProvider;
use keymoot_model::TrackName;
use keymoot_service::{DocumentKey, WantedDocumentKey, document_settings};

use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::wiped_json::wiped;
use crate::api::Api;
use crate::request::authentication;
use crate::request::own_url::license_base;

/// The type of documents.
pub(crate) const CONTENT_TYPE: &str = "application/xml";
/// What the answers to SPEKE's encryptors call this server.
const USER_AGENT: &str = concat!("Keymoot/", env!("CARGO_PKG_VERSION"));

/// At what kind of path a document of SPEKE came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SpekePath {
    /// The header alone tells the version.
    Any,
    /// Without the header there is no version.
    Versioned,
}

/// Answers a document of SPEKE; `named` is the account in the path, if it has one.
pub(crate) async fn speke(
    path: SpekePath,
    named: Option<&str>,
    request: &HttpRequest,
    payload: Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let protocol =
        speke_version(path, request).ok_or_else(|| refused(&Fault::unsupported_speke_version()))?;
    posted(protocol, named, request, payload, api, auth).await
}

/// Answers a document of plain CPIX, or a request by parameters for one.
pub(crate) async fn cpix(
    named: Option<&str>,
    request: &HttpRequest,
    payload: Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    if *request.method() == actix_web::http::Method::POST {
        return posted(Protocol::Cpix, named, request, payload, api, auth).await;
    }
    let account = whose::account(named, request, api)?;
    let grant = authentication::authenticate_document(request, Bytes::new(), account, api, auth).await?;
    let settings = settings(&grant, request, api)?;
    let document = composed::document(request.query_string(), &grant, &settings, api).await?;
    answer(document.as_bytes(), Protocol::Cpix, &grant, &settings, api).await
}

fn speke_version(path: SpekePath, request: &HttpRequest) -> Option<Protocol> {
    let mut headers = request.headers().get_all(Protocol::VERSION_HEADER);
    match (headers.next(), headers.next()) {
        (None, _) if path == SpekePath::Versioned => None,
        (None, _) => Protocol::of_speke_version(None),
        (Some(version), None) => Protocol::of_speke_version(Some(version.to_str().ok()?)),
        (Some(_), Some(_)) => None,
    }
}

async fn posted(
    protocol: Protocol,
    named: Option<&str>,
    request: &HttpRequest,
    payload: Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let account = whose::account(named, request, api)?;
    let body = authentication::read_document(request, payload, &account, api).await?;
    let grant = authentication::authenticate_document(request, body.clone(), account, api, auth).await?;
    let settings = settings(&grant, request, api)?;
    answer(&body, protocol, &grant, &settings, api).await
}

/// What the account's answers hold.
fn settings(grant: &Grant, request: &HttpRequest, api: &Api) -> Result<Settings, ApiError> {
    let account = grant.account();
    let has_clear_key = api.licenses.serves(LicenseProvider::ClearKey, &account.id);
    document_settings(account.into(), grant.documents(), &license_base(request, api), has_clear_key)
        .map_err(ApiError::internal)
}

async fn answer(
    document: &[u8],
    protocol: Protocol,
    grant: &Grant,
    settings: &Settings,
    api: &Api,
) -> Result<HttpResponse, ApiError> {
    let told = |outcome: &str| {
        api.metrics.documents_total.with_label_values(&[protocol.name(), outcome]).inc();
    };
    let refuse = |fault: Fault| {
        told("refused");
        refused(&fault)
    };
    let request = keymoot_cpix::Request::parse(document, protocol, settings).map_err(refuse)?;
    let wanted = &request.wanted().keys;
    let asked: Vec<WantedDocumentKey> = wanted.iter().map(wanted_key).collect();
    let keys = api.keys.of_document(grant, &asked).await.inspect_err(|_| told("failed"))?;
    let supplied: Vec<SuppliedKey> =
        keys.into_iter().zip(wanted).map(|(key, wanted)| supplied(key, wanted)).collect();
    let filled = request.answer(&supplied, settings).map_err(refuse)?;
    told("answered");
    Ok(respond(protocol, filled))
}

/// A key as the service is asked for it.
fn wanted_key(wanted: &WantedKey) -> WantedDocumentKey {
    let parts = wanted.track_types.iter().flat_map(|track_type| track_type.parts());
    WantedDocumentKey {
        content: wanted.content.clone(),
        kid: wanted.kid,
        kind: wanted.kind,
        announced_iv: wanted.explicit_iv.filter(|_| has_announced_iv(wanted)),
        // A name of the encryptor's own that no track can have says nothing about tracks.
        tracks: parts.filter_map(|part| TrackName::new(part).ok()).collect(),
        has_periods: !wanted.period_ids.is_empty(),
    }
}

fn supplied(key: DocumentKey, wanted: &WantedKey) -> SuppliedKey {
    let signals = PolicySignals::of(&key.protection, &wanted.systems);
    let iv = has_announced_iv(wanted).then_some(key.iv);
    SuppliedKey { kid: key.kid, key: key.key, iv, signals }
}

/// Whether licenses of the key carry its IV: FairPlay's do, in all others it stands in the samples.
fn has_announced_iv(wanted: &WantedKey) -> bool {
    wanted.systems.contains(&DrmSystem::FairPlay)
}

fn respond(protocol: Protocol, document: Zeroizing<Vec<u8>>) -> HttpResponse {
    let mut answer = HttpResponse::Ok().content_type(CONTENT_TYPE).body(wiped(document));
    let told = [
        (Some(Protocol::VERSION_HEADER), protocol.speke_version()),
        (protocol.user_agent_header(), Some(USER_AGENT)),
    ];
    for (name, value) in told {
        let name = name.and_then(|name| HeaderName::try_from(name).ok());
        if let (Some(name), Some(value)) = (name, value) {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    answer
}

/// A fault as the caller reads it; the log has why and where, too.
fn refused(fault: &Fault) -> ApiError {
    let kind = match fault.status() {
        413 => ErrorKind::TooLarge,
        500 => ErrorKind::Internal,
        _ => ErrorKind::Invalid,
    };
    ApiError::with_reason(kind, fault.text(), fault)
}

#[cfg(test)]
mod tests;
