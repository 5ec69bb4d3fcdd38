//! What a packager is answered: keys, or why there are none, inside `{"response": base64}`.

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

use super::request::{Asked, Specifier};
use super::status::{Refusal, Status};
use crate::crypto::ContentKey;
use crate::drm::{SystemData, SystemId};
use crate::model::{ContentId, Kid, Period, TrackName};

/// The key of a track, or of one period of it.
#[derive(Debug)]
pub struct TrackKey {
    /// The track.
    pub track: TrackName,
    /// The content.
    pub content: ContentId,
    /// The key id.
    pub kid: Kid,
    /// The key.
    pub key: ContentKey,
    /// The period, if it holds for one only.
    pub period: Option<Period>,
}

#[derive(Serialize)]
struct Inner<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drm: Vec<Drm>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tracks: Vec<Track<'a>>,
}

#[derive(Serialize)]
struct Drm {
    #[serde(rename = "type")]
    name: &'static str,
    system_id: String,
}

#[derive(Serialize)]
struct Track<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    key_id: String,
    #[serde(serialize_with = "as_text")]
    key: Zeroizing<String>,
    /// Exactly one: packagers refuse more.
    pssh: [Pssh; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    crypto_period_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crypto_period_seconds: Option<u32>,
}

#[derive(Serialize)]
struct Pssh {
    drm_type: &'static str,
    data: String,
    boxes: String,
}

fn as_text<S: Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// The answer that hands out keys; `data` is that of each key, in their order.
pub fn keys(
    asked: &Asked,
    keys: &[TrackKey],
    data: &[SystemData],
) -> Result<HttpResponse, serde_json::Error> {
    let tracks = keys.iter().zip(data).map(|(key, data)| Track {
        name: key.track.as_str(),
        key_id: key.kid.to_base64(),
        key: key.key.to_base64(),
        pssh: [Pssh {
            drm_type: "WIDEVINE",
            data: STANDARD.encode(&data.data),
            boxes: STANDARD.encode(data.pssh_box()),
        }],
        crypto_period_index: key.period.map(|period| period.index),
        crypto_period_seconds: key.period.map(|period| period.length_s),
    });
    let content_id = match &asked.specifier {
        Specifier::Content(content) => Some(STANDARD.encode(content.to_bytes())),
        Specifier::Kids(_) => None,
    };
    let drm = Drm { name: "WIDEVINE", system_id: STANDARD.encode(SystemId::WIDEVINE.as_bytes()) };
    envelope(&Inner {
        status: Status::Ok.name(),
        status_message: None,
        content_id,
        drm: vec![drm],
        tracks: tracks.collect(),
    })
}

/// The answer that says why there are no keys.
pub fn refusal(refusal: &Refusal) -> HttpResponse {
    let inner = Inner {
        status: refusal.status.name(),
        status_message: Some(format!("{} (reference {})", refusal.message, refusal.reference)),
        content_id: None,
        drm: Vec::new(),
        tracks: Vec::new(),
    };
    // Texts alone always serialise.
    envelope(&inner).unwrap_or_else(|_| HttpResponse::InternalServerError().finish())
}

/// Wipes what holds keys; the framework sends and drops the last copy.
fn envelope(inner: &Inner<'_>) -> Result<HttpResponse, serde_json::Error> {
    let mut text = Zeroizing::new(Vec::new());
    serde_json::to_writer(&mut *text, inner)?;
    let mut body = format!("{{\"response\":\"{}\"}}", &*Zeroizing::new(STANDARD.encode(&*text)));
    let sent = Bytes::copy_from_slice(body.as_bytes());
    body.zeroize();
    Ok(HttpResponse::Ok().content_type("application/json").body(sent))
}
