//! What a packager asks: the envelope, and the request inside that its signature covers.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::signature::WidevineSignature;
use super::status::{RequestError, Status};
use super::track_types::{TRACK_TYPES, track_type};
use crate::strict_json::without_mark;
use keymoot_drm::{EncryptionProvider, ProtectionScheme, Provider as _, SystemId, Widevine, pssh};
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
    pub tracks: Vec<AskedTrack>,
    /// The systems whose data is asked for, each once and one at least.
    pub systems: Vec<DrmType>,
    /// How samples are encrypted.
    pub scheme: ProtectionScheme,
    /// The crypto periods whose keys are asked for, of each track.
    pub periods: Option<RequestedPeriods>,
}

/// A key of the client's own, with its id.
pub type SuppliedKey = (Kid, Zeroizing<[u8; 16]>);

/// A track, and the key that the client brings along for it.
pub struct AskedTrack {
    pub name: TrackName,
    pub supplied: Option<SuppliedKey>,
}

impl fmt::Debug for AskedTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kid = self.supplied.as_ref().map(|(kid, _)| kid);
        f.debug_struct("AskedTrack").field("name", &self.name).field("kid", &kid).finish_non_exhaustive()
    }
}

/// A DRM system, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrmType {
    Widevine,
    PlayReady,
    FairPlay,
}

impl DrmType {
    pub const ALL: [Self; 3] = [Self::Widevine, Self::PlayReady, Self::FairPlay];

    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Widevine => "WIDEVINE",
            Self::PlayReady => "PLAYREADY",
            Self::FairPlay => "FAIRPLAY",
        }
    }

    /// The schemes that the system's players know.
    fn schemes(self) -> &'static [ProtectionScheme] {
        let provider = match self {
            Self::Widevine => EncryptionProvider::CencWidevine,
            Self::PlayReady => EncryptionProvider::CencPlayReady,
            Self::FairPlay => EncryptionProvider::Fps,
        };
        provider.schemes()
    }
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
    /// The systems whose data is wanted: `WIDEVINE`, `PLAYREADY`, `FAIRPLAY`; left out, `WIDEVINE`.
    drm_types: Option<Vec<String>>,
    /// `CENC`, `CBCS` and the like, or the number that the four characters are; `CENC` when left out.
    protection_scheme: Option<RequestedScheme>,
    /// With `crypto_period_count`: keys of successive crypto periods, from this on. It and the following numbers may be
    /// strings.
    #[serde(default, deserialize_with = "number")]
    first_crypto_period_index: Option<u32>,
    /// How many periods.
    #[serde(default, deserialize_with = "number")]
    crypto_period_count: Option<u32>,
    /// How long a period is.
    #[serde(default, deserialize_with = "number")]
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
    /// Base64 of the 16 bytes of a key id of the client's own; with `key`. Refused when the track has another key.
    key_id: Option<String>,
    /// Base64 of the 16 bytes of that key.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    key: Option<Zeroizing<String>>,
}

/// A whole number, or its text: JSON of protocol buffers writes the long ones so.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u32),
        Text(String),
    }
    match Option::<Written>::deserialize(from)? {
        None => Ok(None),
        Some(Written::Number(number)) => Ok(Some(number)),
        Some(Written::Text(text)) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
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
        if periods.is_some() && tracks.iter().any(|track| track.supplied.is_some()) {
            return Err(malformed("a track's own key is for no crypto periods; leave key and key_id out"));
        }
        let scheme = match inner.protection_scheme {
            None => Ok(ProtectionScheme::Cenc),
            Some(RequestedScheme::FourCc(number)) => ProtectionScheme::from_four_cc(number),
            Some(RequestedScheme::Name(name)) => match name.parse() {
                Ok(number) => ProtectionScheme::from_four_cc(number),
                Err(_) => name.parse(),
            },
        };
        let scheme = scheme.map_err(|error| malformed(&error.to_string()))?;
        let systems = systems(&inner.drm_types.unwrap_or_default(), scheme)?;
        Ok(Self { specifier, policy, tracks, systems, scheme, periods })
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

fn systems(names: &[String], scheme: ProtectionScheme) -> Result<Vec<DrmType>, RequestError> {
    let mut systems = Vec::new();
    for name in names {
        let known = DrmType::ALL.into_iter().find(|system| system.name() == name);
        let system = known.ok_or_else(|| {
            malformed(&format!(
                "drm_types: a name is not known; use {}",
                DrmType::ALL.map(DrmType::name).join(", ")
            ))
        })?;
        if !system.schemes().contains(&scheme) {
            let known = system.schemes().iter().map(|scheme| scheme.name()).collect::<Vec<_>>().join(", ");
            return Err(malformed(&format!(
                "protection_scheme: {} does not know {scheme}, but {known}",
                system.name()
            )));
        }
        if !systems.contains(&system) {
            systems.push(system);
        }
    }
    Ok(if systems.is_empty() { vec![DrmType::Widevine] } else { systems })
}

/// The key that a client brings along.
fn supplied(track: &RequestedTrack) -> Result<Option<SuppliedKey>, RequestError> {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let (kid, key) = (given(track.key_id.as_deref()), track.key.as_ref().filter(|key| !key.is_empty()));
    match (kid, key) {
        (None, None) => Ok(None),
        (Some(kid), Some(key)) => {
            let kid = Kid::from_bytes(*sixteen_bytes("a track's key_id", &kid)?);
            Ok(Some((kid, sixteen_bytes("a track's key", key)?)))
        }
        _ => Err(malformed("a track has key or key_id without the other; give both, or neither")),
    }
}

fn sixteen_bytes(what: &str, text: &str) -> Result<Zeroizing<[u8; 16]>, RequestError> {
    let wrong = || malformed(&format!("{what} is not base64 of 16 bytes"));
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| wrong())?);
    bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| wrong())
}

fn tracks(given: Vec<RequestedTrack>, specifier: &Specifier) -> Result<Vec<AskedTrack>, RequestError> {
    let mut tracks: Vec<AskedTrack> = Vec::with_capacity(given.len());
    for track in given {
        let supplied = supplied(&track)?;
        let name = track.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| RequestError::new(Status::TrackTypeMissing, "a track has no type"))?;
        let known = track_type(&name).and_then(|name| TrackName::new(name).ok());
        let track = known.ok_or_else(|| {
            let message = format!("a track's type is not known; use {}", TRACK_TYPES.join(", "));
            RequestError::new(Status::TrackTypeUnknown, message)
        })?;
        if tracks.iter().any(|known| known.name == track) {
            return Err(malformed("a track type is asked for twice"));
        }
        if supplied.is_some() && matches!(specifier, Specifier::Kids(_)) {
            return Err(malformed(
                "keys that pssh_data names are looked up; leave a track's key and key_id out",
            ));
        }
        tracks.push(AskedTrack { name: track, supplied });
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
