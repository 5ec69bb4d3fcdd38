//! What a document was filled in with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::RigError;
use crate::raw::Answer;
use crate::signed::from_hex;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    pub keys: Vec<AnsweredKey>,
    pub systems: Vec<AnsweredSystem>,
}

/// A key of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredKey {
    pub kid: [u8; 16],
    pub key: [u8; 16],
    /// The IV that licenses announce, if there is one.
    pub iv: Option<[u8; 16]>,
}

/// The data of a key for one system, each decoded; `None` where the element is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnsweredSystem {
    pub kid: [u8; 16],
    pub system: String,
    /// The whole box.
    pub pssh: Option<Vec<u8>>,
    pub content_protection: Option<Vec<u8>>,
    /// The whole tag of a media playlist.
    pub hls_media: Option<String>,
}

impl Answered {
    /// Reads an answer whose elements have the prefixes `cpix` and `pskc`.
    ///
    /// # Errors
    /// [`RigError::Answer`] for another status, or where an element does not hold what it must; never with a key.
    pub fn read(answer: &Answer) -> Result<Self, RigError> {
        if answer.status != 200 {
            return Err(RigError::Answer(format!("status {}: {}", answer.status, answer.text())));
        }
        let text = String::from_utf8_lossy(&answer.body);
        let keys = elements(&text, "cpix:ContentKey").map(|key| {
            let plain = content(key, "pskc:PlainValue").ok_or_else(|| not_sound("a key has no value"))?;
            let iv = attribute(key, "explicitIV").map(sixteen).transpose()?;
            Ok(AnsweredKey { kid: kid(key)?, key: sixteen(plain)?, iv })
        });
        let systems = elements(&text, "cpix:DRMSystem").map(|system| {
            let data =
                |name: &str| content(system, name).filter(|text| !text.is_empty()).map(decoded).transpose();
            let media = "cpix:HLSSignalingData playlist=\"media\"";
            let hls = content(system, media).filter(|text| !text.is_empty()).map(decoded).transpose()?;
            Ok(AnsweredSystem {
                kid: kid(system)?,
                system: attribute(system, "systemId").unwrap_or_default().to_owned(),
                pssh: data("cpix:PSSH")?,
                content_protection: data("cpix:ContentProtectionData")?,
                hls_media: hls.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            })
        });
        Ok(Self {
            keys: keys.collect::<Result<_, RigError>>()?,
            systems: systems.collect::<Result<_, RigError>>()?,
        })
    }

    /// The key of a key id.
    ///
    /// # Errors
    /// When it is not there, or twice.
    pub fn key(&self, kid: &[u8; 16]) -> Result<&AnsweredKey, RigError> {
        let mut all = self.keys.iter().filter(|key| key.kid == *kid);
        match (all.next(), all.next()) {
            (Some(key), None) => Ok(key),
            _ => Err(not_sound("a key id has no key, or two")),
        }
    }

    /// The pssh boxes of a key id for these systems.
    ///
    /// # Errors
    /// When one has none.
    pub fn boxes(&self, kid: &[u8; 16], systems: &[&str]) -> Result<Vec<Vec<u8>>, RigError> {
        let of = |system: &&str| {
            let mut all = self.systems.iter().filter(|data| data.kid == *kid && data.system == **system);
            all.next().and_then(|data| data.pssh.clone()).ok_or_else(|| not_sound("a system has no pssh box"))
        };
        systems.iter().map(of).collect()
    }
}

/// The elements of this name, each from behind its name up to its end.
fn elements<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let (begin, end) = (format!("<{name} "), format!("</{name}>"));
    let pieces: Vec<&str> = text.split(begin.as_str()).skip(1).collect();
    pieces.into_iter().map(move |piece| piece.split(end.as_str()).next().unwrap_or_default())
}

fn attribute<'t>(element: &'t str, name: &str) -> Option<&'t str> {
    let tag = element.split('>').next()?;
    // The element's name is cut off, so the first attribute begins at once.
    let behind = match tag.strip_prefix(&format!("{name}=\"")) {
        Some(behind) => behind,
        None => tag.split_once(&format!(" {name}=\""))?.1,
    };
    behind.split('"').next()
}

/// The text of an element with this name, and these attributes if they are given.
fn content<'t>(text: &'t str, tag: &str) -> Option<&'t str> {
    let behind = text.split_once(&format!("<{tag}>"))?.1;
    behind.split('<').next().map(str::trim)
}

fn kid(element: &str) -> Result<[u8; 16], RigError> {
    let bytes = attribute(element, "kid").and_then(|text| from_hex(&text.replace('-', "")));
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| not_sound("a kid is no GUID"))
}

fn decoded(text: &str) -> Result<Vec<u8>, RigError> {
    STANDARD.decode(text).map_err(|_| not_sound("a value is not base64"))
}

fn sixteen(text: &str) -> Result<[u8; 16], RigError> {
    decoded(text)?.try_into().map_err(|_| not_sound("a value has not sixteen bytes"))
}

fn not_sound(why: &str) -> RigError {
    RigError::Answer(format!("a 200 answer is no document filled in: {why}"))
}
