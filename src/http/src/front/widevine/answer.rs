//! What a packager is answered: keys, or why there are none, inside `{"response": base64}`.

use actix_web::HttpResponse;
use actix_web::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::answer::wiped_json::{WipedText, json, respond};
use keymoot_crypto::ContentKey;
use keymoot_drm::{ProtectionScheme, SystemData, SystemId, fairplay};
use keymoot_model::{ContentId, Kid, Period, TrackName};
use keymoot_protocol::widevine::{ContentKeyRequest, DrmType, Specifier, Status};

/// The key of a track, or of one period of it.
#[derive(Debug)]
pub(super) struct TrackKey {
    pub(super) track: TrackName,
    pub(super) content: ContentId,
    pub(super) kid: Kid,
    pub(super) key: ContentKey,
    /// The period, if it holds for one only.
    pub(super) period: Option<Period>,
    /// The IV that licenses announce for it; `None`: the one that follows from the key id.
    pub(super) iv: Option<[u8; 16]>,
}

/// The answer of the Widevine common encryption API.
#[derive(ToSchema)]
#[schema(as = ContentKeyAnswer)]
#[allow(dead_code)] // Only its schema is of use: `envelope` writes it without a copy of the keys.
pub(crate) struct ContentKeyAnswer {
    /// Base64 of `ContentKeys` in JSON.
    response: String,
}

/// What the `response` of an answer decodes to.
#[derive(Serialize, ToSchema)]
#[schema(as = ContentKeys)]
pub(crate) struct ContentKeys<'a> {
    /// `OK`, or why there are no keys.
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<ContentKeysDrm>)]
    drm: Vec<ContentKeysDrm>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tracks: Vec<TrackKeyJson<'a>>,
}

/// A DRM system.
#[derive(Serialize, ToSchema)]
#[schema(as = ContentKeysDrm)]
struct ContentKeysDrm {
    #[serde(rename = "type")]
    name: &'static str,
    system_id: String,
}

/// The key of a track, or of one crypto period of it.
#[derive(Serialize, ToSchema)]
#[schema(as = TrackKey)]
struct TrackKeyJson<'a> {
    /// The track's type.
    #[serde(rename = "type")]
    name: &'a str,
    /// Base64 of the 16 bytes of the key id.
    key_id: String,
    /// Base64 of the 16 bytes of the key.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String)]
    key: Zeroizing<String>,
    /// Base64 of the constant IV of `CBCS`, which FairPlay's licenses carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<String>,
    /// One for each system that is asked for and has data; packagers that ask for Widevine only refuse more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pssh: Vec<TrackSystemData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crypto_period_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crypto_period_seconds: Option<u32>,
}

/// What the DRM system needs to know of a key.
#[derive(Serialize, ToSchema)]
#[schema(as = TrackSystemData)]
struct TrackSystemData {
    /// `WIDEVINE` or `PLAYREADY`.
    drm_type: &'static str,
    /// Base64 of the data, without the header of the pssh box.
    data: String,
    /// Base64 of the whole pssh box.
    boxes: String,
}

fn as_text<S: Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// The answer that hands out keys; `data` is that of each key, in their order.
pub(super) fn keys(
    asked: &ContentKeyRequest,
    keys: &[TrackKey],
    data: &[(DrmType, Vec<SystemData>)],
) -> Result<HttpResponse, serde_json::Error> {
    let system_data = |drm: DrmType, data: &SystemData| TrackSystemData {
        drm_type: drm.name(),
        data: STANDARD.encode(&data.data),
        boxes: STANDARD.encode(data.pssh_box()),
    };
    let of_key = |at: usize| {
        let of_system = |(drm, data): &(DrmType, Vec<SystemData>)| Some(system_data(*drm, data.get(at)?));
        data.iter().filter_map(of_system).collect()
    };
    let iv = |key: &TrackKey| {
        let own = || key.iv.unwrap_or_else(|| fairplay::constant_iv(&key.kid));
        (asked.scheme == ProtectionScheme::Cbcs).then(|| STANDARD.encode(own()))
    };
    let tracks = keys.iter().enumerate().map(|(at, key)| TrackKeyJson {
        name: key.track.as_str(),
        key_id: key.kid.to_base64(),
        key: key.key.to_base64(),
        iv: iv(key),
        pssh: of_key(at),
        crypto_period_index: key.period.map(|period| period.index),
        crypto_period_seconds: key.period.map(|period| period.length_s),
    });
    let content_id = match &asked.specifier {
        Specifier::Content(content) => Some(STANDARD.encode(content.to_bytes())),
        Specifier::Kids(_) => None,
    };
    let drm = asked.systems.iter().map(|drm| ContentKeysDrm {
        name: drm.name(),
        system_id: STANDARD.encode(system_id(*drm).as_bytes()),
    });
    envelope(&ContentKeys {
        status: Status::Ok.name(),
        status_message: None,
        content_id,
        drm: drm.collect(),
        tracks: tracks.collect(),
    })
}

const fn system_id(drm: DrmType) -> SystemId {
    match drm {
        DrmType::Widevine => SystemId::WIDEVINE,
        DrmType::PlayReady => SystemId::PLAYREADY,
        DrmType::FairPlay => SystemId::FAIRPLAY,
    }
}

/// The answer that says why there are no keys.
pub(super) fn refusal(refusal: &Refusal) -> HttpResponse {
    let inner = ContentKeys {
        status: refusal.status.name(),
        status_message: Some(format!("{} (reference {})", refusal.message, refusal.reference)),
        content_id: None,
        drm: Vec::new(),
        tracks: Vec::new(),
    };
    // Texts alone always serialise.
    let mut answer = envelope(&inner).unwrap_or_else(|_| HttpResponse::InternalServerError().finish());
    if let Some(after) = &refusal.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, after.clone());
    }
    answer
}

fn envelope(inner: &ContentKeys<'_>) -> Result<HttpResponse, serde_json::Error> {
    let text = Zeroizing::new(STANDARD.encode(&*json(inner)?));
    let parts: [&[u8]; 3] = [b"{\"response\":\"", text.as_bytes(), b"\"}"];
    let mut body = WipedText::with_room_for(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| body.push(part));
    Ok(respond(body.into_bytes()))
}
