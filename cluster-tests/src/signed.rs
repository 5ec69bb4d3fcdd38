//! The scrambler's side of the uDRM encryption API, written from the specification.
//!
//! Shares no code with Keymoot, so that a misreading on one side shows as a disagreement.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha1::{Digest as _, Sha1};

use crate::RigError;
use crate::raw::{self, Answer};
use crate::wait::wait_until;

/// The path that most clients use; the answer is an object.
pub const WIDEVINE: &str = "/cenc/widevine/encryption";
/// The path for all systems at once; the answer is an array of one object.
pub const COMMON: &str = "/cenc/encryption";

/// The time limit for a new cluster to make the key that signs its answers.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(30);

/// An account and its encryption signing key.
#[derive(Clone)]
pub struct Signer {
    /// The account's name.
    pub account_id: String,
    /// `OVP` or `OTT`.
    pub ca_system: String,
    signing_key: String,
}

/// A DRM system's data in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SystemData {
    /// The system's id, lower case and dashed.
    pub uuid: String,
    /// Base64 of the data, without the pssh box around it.
    pub data: String,
}

/// A key in an answer of the encryption API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct KeyAnswer {
    /// Base64 of sixteen bytes.
    pub key: String,
    /// Base64 of sixteen bytes.
    pub key_id: String,
    /// The content in the form of the request.
    pub content_id: String,
    /// The data of each system; absent for some.
    #[serde(default)]
    pub pssh: Vec<SystemData>,
}

impl Signer {
    /// A signer of this account with its encryption signing key, used as its text bytes.
    pub fn new(account_id: &str, ca_system: &str, signing_key: &str) -> Self {
        Self {
            account_id: account_id.to_owned(),
            ca_system: ca_system.to_owned(),
            signing_key: signing_key.to_owned(),
        }
    }

    /// The same account with another signing key.
    pub fn with_key(&self, signing_key: &str) -> Self {
        Self { signing_key: signing_key.to_owned(), ..self.clone() }
    }

    /// The signing key's text.
    pub fn signing_key(&self) -> &str {
        &self.signing_key
    }

    /// `Base64(SHA1(key + data))` of uDRM 2.3.1.
    pub fn signature(&self, data: &[u8]) -> String {
        STANDARD.encode(Sha1::new().chain_update(&self.signing_key).chain_update(data).finalize())
    }

    /// The custom data of `content_id` as JSON, with further members.
    pub fn custom_data(&self, content_id: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let mut members = Map::new();
        members.insert("ca_system".into(), json!(self.ca_system));
        members.insert("account_id".into(), json!(self.account_id));
        members.insert("content_id".into(), json!(content_id));
        members.insert("files".into(), json!(""));
        members.extend(more.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        Value::Object(members).to_string().into_bytes()
    }

    /// A signed request: GET carries its custom data in the query, all others in the body.
    pub fn request(&self, method: &str, path: &str, custom_data: &[u8]) -> Vec<u8> {
        let signature = raw::percent_encode(&self.signature(custom_data));
        if method == "GET" {
            let text = raw::percent_encode(&STANDARD.encode(custom_data));
            let target = format!("{path}?custom_data={text}&signature={signature}");
            return raw::request(method, &target, &[], &[]);
        }
        raw::request(method, &format!("{path}?signature={signature}"), &[], custom_data)
    }

    /// Sends one signed request and returns the answer, whatever it is.
    ///
    /// # Errors
    /// As for [`raw::exchange`].
    pub fn send(
        &self,
        node: SocketAddr,
        method: &str,
        path: &str,
        custom_data: &[u8],
    ) -> Result<Answer, RigError> {
        raw::exchange(node, &self.request(method, path, custom_data), raw::ANSWER_WITHIN)
    }

    /// POST: the content's key, made when there was none.
    ///
    /// # Errors
    /// When there is no answer, or it is not a key.
    pub fn create(&self, node: SocketAddr, content_id: &str) -> Result<KeyAnswer, RigError> {
        KeyAnswer::from_answer(&self.send(node, "POST", WIDEVINE, &self.custom_data(content_id, &[]))?)
    }

    /// GET: the content's key.
    ///
    /// # Errors
    /// When there is no answer, or it is not a key.
    pub fn read(&self, node: SocketAddr, content_id: &str) -> Result<KeyAnswer, RigError> {
        KeyAnswer::from_answer(&self.send(node, "GET", WIDEVINE, &self.custom_data(content_id, &[]))?)
    }

    /// PUT of a key and key id that the caller supplies.
    ///
    /// # Errors
    /// When there is no answer, or it is not a key.
    pub fn supply(
        &self,
        node: SocketAddr,
        content_id: &str,
        key: &[u8; 16],
        kid: &[u8; 16],
    ) -> Result<KeyAnswer, RigError> {
        let (key, kid) = (STANDARD.encode(key), STANDARD.encode(kid));
        let custom_data = self.custom_data(content_id, &[("key", &key), ("key_id", &kid)]);
        KeyAnswer::from_answer(&self.send(node, "PUT", WIDEVINE, &custom_data)?)
    }
}

impl KeyAnswer {
    /// The key in a 200 answer, an object or an array of one.
    ///
    /// # Errors
    /// [`RigError::Answer`] for another status or another body; never with the body of a 200, which
    /// holds a key.
    pub fn from_answer(answer: &Answer) -> Result<Self, RigError> {
        if answer.status != 200 {
            return Err(RigError::Answer(format!("status {}: {}", answer.status, answer.text())));
        }
        let not_a_key = |why: &dyn std::fmt::Display| {
            RigError::Answer(format!("a 200 answer of {} bytes is no key: {why}", answer.body.len()))
        };
        let value: Value = serde_json::from_slice(&answer.body).map_err(|e| not_a_key(&e))?;
        let object = match value {
            Value::Array(mut all) if all.len() == 1 => all.pop().unwrap_or_default(),
            other => other,
        };
        let key: Self = serde_json::from_value(object).map_err(|e| not_a_key(&e))?;
        key.bytes().map(|_| key.clone())
    }

    /// Key and key id as bytes.
    ///
    /// # Errors
    /// [`RigError::Answer`] unless both are base64 of sixteen bytes.
    pub fn bytes(&self) -> Result<([u8; 16], [u8; 16]), RigError> {
        let sixteen = |what: &str, text: &str| {
            STANDARD
                .decode(text)
                .ok()
                .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
                .ok_or_else(|| RigError::Answer(format!("{what} is not base64 of 16 bytes")))
        };
        Ok((sixteen("key", &self.key)?, sixteen("key_id", &self.key_id)?))
    }

    /// Each system's data in a pssh box of its own, version 0.
    ///
    /// # Errors
    /// [`RigError::Answer`] when a uuid or its data is malformed.
    pub fn pssh_boxes(&self) -> Result<Vec<Vec<u8>>, RigError> {
        self.pssh.iter().map(|system| pssh_box(&system.uuid, &system.data)).collect()
    }
}

fn pssh_box(uuid: &str, data: &str) -> Result<Vec<u8>, RigError> {
    let malformed = || RigError::Answer(format!("the pssh of system {uuid:?} is malformed"));
    let system_id = from_hex(&uuid.replace('-', "")).filter(|id| id.len() == 16).ok_or_else(malformed)?;
    let data = STANDARD.decode(data).map_err(|_| malformed())?;
    let length = |bytes: usize| u32::try_from(bytes).map(u32::to_be_bytes).map_err(|_| malformed());
    let mut whole = Vec::with_capacity(32 + data.len());
    whole.extend_from_slice(&length(32 + data.len())?);
    whole.extend_from_slice(b"pssh\0\0\0\0");
    whole.extend_from_slice(&system_id);
    whole.extend_from_slice(&length(data.len())?);
    whole.extend_from_slice(&data);
    Ok(whole)
}

/// The public key that a node announces for its answers, in base64. A new cluster announces none
/// until it has made one.
///
/// # Errors
/// When none is announced in time.
pub fn announced_key(node: SocketAddr) -> Result<String, RigError> {
    wait_until("a node to have its keys", ANNOUNCED_WITHIN, || {
        let answer =
            raw::exchange(node, &raw::request("GET", "/capabilities", &[], &[]), raw::ANSWER_WITHIN)?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let key = said.pointer("/signed_answers/public_key").and_then(Value::as_str).map(str::to_owned);
        key.ok_or_else(|| RigError::Answer("no key is announced yet".to_owned()))
    })
}

/// The bytes of standard padded base64.
///
/// # Errors
/// [`RigError::Answer`] for anything else.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, RigError> {
    STANDARD.decode(text).map_err(|_| RigError::Answer("the text is not base64".to_owned()))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// The bytes of hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    base16ct::mixed::decode_vec(text).ok()
}

#[cfg(test)]
mod tests;
