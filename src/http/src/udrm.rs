//! The uDRM encryption endpoint (uDRM 2.3.3, 2.3.5): `{provider}/encryption`.
//!
//! What is signed is what came: the body of POST, PUT and DELETE, the decoded `custom_data` of GET
//! and of a DELETE whose body a proxy dropped. It is verified before it is believed.

use std::net::IpAddr;

use actix_web::http::{Method, header};
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};

use keymoot_auth::{AuthHandle, Grant, client_address};
use keymoot_crypto::ContentKey;
use keymoot_drm::{ContentKeyInfo, EncryptionProvider, LicenseUrl, ProtectionScheme, SystemData};
use keymoot_model::{Account, ContentId, Kid, Scope, TrackName};
use keymoot_protocol::{CustomData, SignedPayload};
use keymoot_service::{ContentTrack, ServedKey};

use super::admission;
use super::answer::{self, AuxiliaryAnswer, KeyAnswer};
use super::connection::Connection;
use super::error::{ApiError, ErrorKind};
use super::incoming_body::read_body;
use super::query::Query;
use super::received;
use super::server::Api;

/// Answers a request to `{provider}/encryption`.
pub async fn encryption(
    provider: EncryptionProvider,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let method = request.method();
    let Admitted { grant, said, wants_auxiliary } = receive(request, payload, api, auth).await?;
    let custom_data = said.what();
    let content = custom_data.content_id();
    let name = track(provider, custom_data)?;
    let track = ContentTrack::new(content, &name);
    if [Method::POST, Method::PUT].contains(method) {
        attach_policy(&grant, custom_data, *method == Method::POST, api).await?;
    }
    let served = match *method {
        Method::GET => read(&grant, custom_data, track, api).await?,
        Method::POST => api.keys.create(&grant, track, supplied(custom_data)?).await?,
        Method::PUT => api.keys.replace(&grant, track, supplied(custom_data)?).await?,
        _ => {
            let versions = api.keys.delete(&grant, track, custom_data.kid()).await?;
            return answer::deleted(content, versions);
        }
    };
    if [Method::POST, Method::PUT].contains(method)
        && let Some(auxiliary) = custom_data.auxiliary()
    {
        // POST adds what is not there and PUT overrides, as they do with the key.
        let if_absent = *method == Method::POST;
        api.keys.keep_auxiliary(&grant, content, auxiliary.clone(), if_absent).await?;
    }
    let stored = if wants_auxiliary { api.keys.auxiliary(&grant, content).await? } else { None };
    let auxiliary = match wants_auxiliary {
        true => AuxiliaryAnswer::Asked(stored.as_ref()),
        false => AuxiliaryAnswer::NotAsked,
    };
    let of_track = (content, &name);
    let systems = system_data(provider, api, grant.account(), of_track, &served)?;
    answer::key(&KeyAnswer {
        provider,
        account: grant.account(),
        shape: grant.account().response_shape,
        content,
        served: &served,
        systems: &systems,
        own_url: &own_url(request),
        auxiliary,
    })
}

/// Attaches the policy that an ingestion names (uDRM 2.4), before there is a key: no license is ever
/// made without it.
pub async fn attach_policy(
    grant: &Grant,
    custom_data: &CustomData,
    if_absent: bool,
    api: &Api,
) -> Result<(), ApiError> {
    let Some(name) = custom_data.policy()? else { return Ok(()) };
    Ok(api.policies.attach(grant, custom_data.content_id(), name, if_absent).await?)
}

/// A uDRM request that was let in.
pub struct Admitted {
    /// What it was granted.
    pub grant: Grant,
    /// What it says about itself.
    pub said: SignedPayload<CustomData>,
    /// Whether its answer shall carry the content's auxiliary data.
    pub wants_auxiliary: bool,
}

/// Reads a request with custom data whole, and lets it in with an encryption credential only.
pub async fn receive(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<Admitted, ApiError> {
    let query = Query::parse(request.query_string())?;
    let body = read_body(request, payload, api).await?;
    let signed = signed_bytes(request.method(), body.clone(), query.custom_data)?;
    let said = SignedPayload::<CustomData>::read(signed)?;
    let grant =
        admission::admit(request, body, (Scope::Encryption, &said, query.signature), api, auth).await?;
    Ok(Admitted { grant, said, wants_auxiliary: query.auxiliary == Some(true) })
}

/// The track whose keys are meant. Players of HLS AES-128 hold its keys in the clear, so they have a track
/// of their own, and no request for a DRM system reaches it.
///
/// # Errors
/// When the track that is named is not one of the provider's.
pub fn track(provider: EncryptionProvider, custom_data: &CustomData) -> Result<TrackName, ApiError> {
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

/// What each of the provider's systems needs to know of a key.
pub fn system_data(
    provider: EncryptionProvider,
    api: &Api,
    account: &Account,
    (content, track): (&ContentId, &TrackName),
    served: &ServedKey,
) -> Result<Vec<SystemData>, ApiError> {
    let playready_license_url = account.playready_la_url.as_deref().map(LicenseUrl::new).transpose()?;
    let info = ContentKeyInfo {
        kid: served.kid,
        key: Some(served.key.expose()),
        iv: provider.constant_iv(&served.kid),
        content,
        account: &account.id,
        track,
        scheme: ProtectionScheme::Cenc,
        period: None,
        playready_license_url: playready_license_url.as_ref(),
    };
    Ok(api.drm.system_data(provider, &info)?)
}

/// What the signature covers.
pub fn signed_bytes(method: &Method, body: Bytes, custom_data: Option<Bytes>) -> Result<Bytes, ApiError> {
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

/// The key that the scrambler supplies itself, if it does.
pub fn supplied(custom_data: &CustomData) -> Result<Option<(Kid, ContentKey)>, ApiError> {
    Ok(custom_data.supplied()?.map(|(kid, key)| (kid, ContentKey::from_bytes(key))))
}

/// The caller as seen through trusted proxies only.
pub fn caller(request: &HttpRequest, api: &Api) -> Result<IpAddr, ApiError> {
    let peer = request.peer_addr().ok_or_else(|| ApiError::internal("the connection has no peer address"))?;
    // A value that is no text ends the walk, like any entry that is no address.
    let forwarded =
        request.headers().get_all(header::X_FORWARDED_FOR).map(|value| value.to_str().unwrap_or(""));
    let forwarded: Vec<&str> = forwarded.collect();
    Ok(client_address(peer.ip(), forwarded, &api.trusted_proxies))
}

/// How this server is called by whoever is asking.
pub fn own_url(request: &HttpRequest) -> String {
    let scheme = received::scheme(request);
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    match (host, Connection::of(request)) {
        (Some(host), _) => format!("{scheme}://{host}"),
        (None, Some(connection)) => format!("{scheme}://{}", connection.listener),
        (None, None) => format!("{scheme}://{}", request.app_config().local_addr()),
    }
}
