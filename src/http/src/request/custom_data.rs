//! Requests that carry uDRM custom data (uDRM 2.3.2): what of them is signed, and what it asks for.
//!
//! What is signed is what came. It is verified before it is believed.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::web::{self, Bytes};

use keymoot_auth::{AuthHandle, Grant};
use keymoot_crypto::ContentKey;
use keymoot_drm::{EncryptionProvider, ProtectionScheme};
use keymoot_model::{Kid, Scope, TrackName};
use keymoot_protocol::query::{self, Query};
use keymoot_protocol::{CustomData, SignedPayload};

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use crate::request::authentication::{self, read_listed_body};

/// A uDRM request whose proof was accepted.
pub(crate) struct ProvedRequest {
    pub grant: Grant,
    pub payload: SignedPayload<CustomData>,
    /// Whether its answer shall carry the content's auxiliary data.
    pub wants_auxiliary: bool,
}

/// Reads a request with custom data whole, and authenticates it by an encryption credential only.
pub(crate) async fn receive(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<ProvedRequest, ApiError> {
    let query = Query::parse(request.query_string())?;
    let body = read_listed_body(request, payload, api).await?;
    let signed = signed_bytes(request.method(), body.clone(), query.custom_data)?;
    let payload = SignedPayload::<CustomData>::read(signed)?;
    let claim = (Scope::Encryption, &payload, query.signature);
    let grant = authentication::authenticate(request, body, claim, api, auth).await?;
    Ok(ProvedRequest { grant, payload, wants_auxiliary: query.auxiliary == Some(true) })
}

/// What the signature covers: the body of POST, PUT and DELETE, the decoded `custom_data` of GET and of a
/// DELETE whose body a proxy dropped.
pub(crate) fn signed_bytes(
    method: &Method,
    body: Bytes,
    custom_data: Option<Bytes>,
) -> Result<Bytes, ApiError> {
    let in_query = "Missing custom data: give it as ?custom_data= in base64";
    match *method {
        Method::GET => custom_data.ok_or_else(|| ApiError::new(ErrorKind::Invalid, in_query)),
        Method::DELETE if body.is_empty() => custom_data.ok_or_else(|| {
            ApiError::new(ErrorKind::Invalid, "Missing custom data: give it as the body or as ?custom_data=")
        }),
        _ if body.is_empty() => {
            Err(ApiError::new(ErrorKind::Invalid, "Missing custom data: give it as the JSON body"))
        }
        _ => Ok(body),
    }
}

/// The track whose keys are meant. Players of HLS AES-128 hold its keys in the clear, so they have a track
/// of their own, and no request for a DRM system reaches it.
///
/// # Errors
/// When the track that is named is not one of the provider's.
pub(crate) fn track(provider: EncryptionProvider, custom_data: &CustomData) -> Result<TrackName, ApiError> {
    let (own, named) = (provider.track(), custom_data.track());
    let invalid = |message: String| Err(ApiError::new(ErrorKind::Invalid, message));
    if provider == EncryptionProvider::Hls {
        return match *named == own || *named == TrackName::default_track() {
            true => Ok(own),
            false => invalid(format!("HLS AES-128 has the one track {own}; leave track out")),
        };
    }
    match *named == TrackName::hls_aes_128() {
        true => invalid(format!("track {named} is kept for HLS AES-128; ask for it at /hls")),
        false => Ok(named.clone()),
    }
}

/// How samples will be encrypted: the query or the custom data say it, or else it is what all the provider's
/// players know. It changes what is said of a key, and never the key.
///
/// # Errors
/// When it is not known or does not go with the provider, or the two say different things.
pub(crate) fn scheme(
    provider: EncryptionProvider,
    request: &HttpRequest,
    custom_data: &CustomData,
) -> Result<ProtectionScheme, ApiError> {
    let in_query = query::parameter(request.query_string(), "scheme")?.filter(|text| !text.is_empty());
    let in_query = in_query.map(|text| text.parse::<ProtectionScheme>()).transpose()?;
    let named = match (in_query, custom_data.scheme()?) {
        (Some(query), Some(data)) if query != data => {
            let message = format!("parameter scheme says {query} and custom data scheme {data}; name one");
            return Err(ApiError::new(ErrorKind::Invalid, message));
        }
        (query, data) => query.or(data),
    };
    Ok(provider.scheme(named)?)
}

/// The key that the scrambler supplies itself, if it does.
pub(crate) fn supplied(custom_data: &CustomData) -> Result<Option<(Kid, ContentKey)>, ApiError> {
    Ok(custom_data.supplied()?.map(|(kid, key)| (kid, ContentKey::from_bytes(key))))
}
