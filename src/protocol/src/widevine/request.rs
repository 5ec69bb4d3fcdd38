//! What a packager asks: the envelope, and the request inside that its signature covers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::signature::WidevineSignature;
use super::status::{RequestError, Status};
use super::track_types::{TRACK_TYPES, track_type};
use crate::strict_json::without_mark;
use keymoot_drm::{ProtectionScheme, Provider as _, SystemId, Widevine, pssh};
use keymoot_model::{ContentId, Kid, PolicyName, TrackName};

/// Key ids looked up for one request at most; pssh data of a packager names one.
pub const KIDS_MAX: usize = 64;

/// The body: a request, and who signed it.
#[derive(Debug)]
pub struct ContentKeyEnvelope {
    /// The inner request's bytes.
    pub request: Bytes,
    /// Who signed them, if anybody is said to have.
    pub signature: Option<WidevineSignature>,
}

/// A signed request of the Widevine common encryption API.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ContentKeyEnvelope))]
pub struct ContentKeyEnvelopeJson {
    /// Base64 of a `ContentKeyRequest` in JSON, which is what the signature covers.
    request: String,
    /// Who signed it: the account, or one of its credentials.
    signer: Option<String>,
    /// Base64 of the signature.
    signature: Option<String>,
}

impl ContentKeyEnvelope {
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let text: ContentKeyEnvelopeJson =
            serde_json::from_slice(without_mark(body)).map_err(|error| not_json("the body", &error))?;
        let signature = text.signature.unwrap_or_default();
        // An empty signer is how some clients say that they have none.
        let signer = text.signer.filter(|signer| !signer.is_empty());
        if signer.is_none() && !signature.is_empty() {
            return Err(malformed("the body holds a signature and no signer"));
        }
        let request: Bytes = base64("request", &text.request)?.into();
        let signature = base64("signature", &signature)?;
        let signed_bytes = request.clone();
        let signature = signer.map(|signer| WidevineSignature { signer, signature, signed_bytes });
        Ok(Self { request, signature })
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Specifier {
    Content(ContentId),
    /// Those that pssh data names.
    Kids(Vec<Kid>),
}

/// What is asked: the `request` inside the envelope.
#[derive(Debug)]
pub struct ContentKeyRequest {
    /// Which keys are meant.
    pub specifier: Specifier,
    /// The policy that the content shall have, if one is named.
    pub policy: Option<PolicyName>,
    /// The tracks, each once.
    pub tracks: Vec<TrackName>,
    /// How samples are encrypted.
    pub scheme: ProtectionScheme,
    /// The crypto periods whose keys are asked for, of each track.
    pub periods: Option<RequestedPeriods>,
}

/// Crypto periods as they are asked for: whether there are such ones is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedPeriods {
    pub first: u32,
    pub count: u32,
    pub length_s: u32,
}

/// What the `request` of a [`ContentKeyEnvelopeJson`] decodes to.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ContentKeyRequest, description = "What the `request` of a `ContentKeyEnvelope` decodes to."))]
pub struct ContentKeyRequestJson {
    /// Base64 of the content's name.
    content_id: Option<String>,
    /// Base64 of pssh data, to look keys up by the key ids in it; in place of `content_id`.
    pssh_data: Option<String>,
    /// The policy to attach to the content unless one is attached; may be empty.
    policy: Option<String>,
    /// The tracks whose keys are asked for.
    tracks: Option<Vec<RequestedTrack>>,
    /// `WIDEVINE`, or left out.
    drm_types: Option<Vec<String>>,
    /// `CENC`, `CBCS` and the like, or the number that the four characters are; `CENC` when left out.
    protection_scheme: Option<RequestedScheme>,
    /// With `crypto_period_count`: keys of successive crypto periods, from this on.
    first_crypto_period_index: Option<u32>,
    /// How many periods.
    crypto_period_count: Option<u32>,
    /// How long a period is.
    crypto_period_seconds: Option<u32>,
    /// Not supported: leave it out.
    #[serde(default)]
    enable_entitlement_license: bool,
}

/// A track whose key is asked for.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = AskedTrack))]
struct RequestedTrack {
    /// `SD`, `HD`, `UHD1`, `UHD2` or `AUDIO`.
    #[serde(rename = "type")]
    name: Option<String>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = AskedScheme))]
#[serde(untagged)]
enum RequestedScheme {
    FourCc(u32),
    Name(String),
}

impl ContentKeyRequest {
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let inner: ContentKeyRequestJson =
            serde_json::from_slice(without_mark(bytes)).map_err(|error| not_json("the request", &error))?;
        if inner.enable_entitlement_license {
            return Err(malformed("entitlement licenses are not supported"));
        }
        if inner.drm_types.as_ref().is_some_and(|types| types.iter().any(|name| name != "WIDEVINE")) {
            return Err(malformed("drm_types: only WIDEVINE is served here"));
        }
        let policy = inner.policy.filter(|name| !name.is_empty()).map(PolicyName::new).transpose();
        let policy = policy.map_err(|error| RequestError::new(Status::PolicyUnknown, error.to_string()))?;
        let specifier = specifier(inner.content_id.as_deref(), inner.pssh_data.as_deref())?;
        let periods = match (inner.first_crypto_period_index, inner.crypto_period_count) {
            (None, None) => None,
            (Some(first), Some(count)) => {
                Some(RequestedPeriods { first, count, length_s: inner.crypto_period_seconds.unwrap_or(0) })
            }
            _ => return Err(malformed("give first_crypto_period_index and crypto_period_count together")),
        };
        let tracks = tracks(inner.tracks.unwrap_or_default(), &specifier)?;
        let scheme = match inner.protection_scheme {
            None => Ok(ProtectionScheme::Cenc),
            Some(RequestedScheme::FourCc(number)) => ProtectionScheme::from_four_cc(number),
            Some(RequestedScheme::Name(name)) => name.parse(),
        };
        let scheme = scheme.map_err(|error| malformed(&error.to_string()))?;
        Ok(Self { specifier, policy, tracks, scheme, periods })
    }

    /// The content it names, if it names one.
    pub fn content(&self) -> Option<&ContentId> {
        match &self.specifier {
            Specifier::Content(content) => Some(content),
            Specifier::Kids(_) => None,
        }
    }
}

fn specifier(content: Option<&str>, pssh_data: Option<&str>) -> Result<Specifier, RequestError> {
    match (content.filter(|id| !id.is_empty()), pssh_data.filter(|data| !data.is_empty())) {
        (None, None) => Err(RequestError::new(Status::ContentIdMissing, "give content_id or pssh_data")),
        (Some(_), Some(_)) => {
            Err(RequestError::new(Status::TooManyContentSpecifiers, "give content_id or pssh_data, not both"))
        }
        (Some(id), None) => {
            let id = ContentId::from_bytes(&base64("content_id", id)?);
            id.map(Specifier::Content).map_err(|error| malformed(&error.to_string()))
        }
        (None, Some(data)) => Ok(Specifier::Kids(kids(&base64("pssh_data", data)?)?)),
    }
}

/// The key ids that pssh data names: the payload alone, or whole boxes as some clients send them.
fn kids(data: &[u8]) -> Result<Vec<Kid>, RequestError> {
    let boxed = pssh::parse_boxes(data).unwrap_or_default();
    let payload = boxed.iter().find(|one| one.system == SystemId::WIDEVINE).map_or(data, |one| &one.data);
    match Widevine.kids(payload) {
        Ok(kids) if !kids.is_empty() && kids.len() <= KIDS_MAX => Ok(kids),
        _ => Err(RequestError::new(Status::InvalidWidevinePssh, "pssh_data names no key ids, or too many")),
    }
}

fn tracks(given: Vec<RequestedTrack>, specifier: &Specifier) -> Result<Vec<TrackName>, RequestError> {
    let mut tracks = Vec::with_capacity(given.len());
    for track in given {
        let name = track.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| RequestError::new(Status::TrackTypeMissing, "a track has no type"))?;
        let known = track_type(&name).and_then(|name| TrackName::new(name).ok());
        let track = known.ok_or_else(|| {
            let message = format!("a track's type is not known; use {}", TRACK_TYPES.join(", "));
            RequestError::new(Status::TrackTypeUnknown, message)
        })?;
        if tracks.contains(&track) {
            return Err(malformed("a track type is asked for twice"));
        }
        tracks.push(track);
    }
    if tracks.is_empty() && matches!(specifier, Specifier::Content(_)) {
        return Err(RequestError::new(Status::TrackTypeMissing, "no track is asked for"));
    }
    Ok(tracks)
}

fn base64(member: &str, text: &str) -> Result<Vec<u8>, RequestError> {
    STANDARD.decode(text).map_err(|_| malformed(&format!("{member} is not standard padded base64")))
}

fn malformed(message: &str) -> RequestError {
    RequestError::new(Status::MalformedRequest, message)
}

/// The parser's own words could repeat what it read.
fn not_json(what: &str, error: &serde_json::Error) -> RequestError {
    let (line, column) = (error.line(), error.column());
    malformed(&format!("{what} is not the JSON object it must be, at {line}:{column}"))
}

#[cfg(test)]
mod tests;
