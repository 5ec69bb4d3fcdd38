//! The packager's side of the Widevine common encryption API, written from its description.
//!
//! Shares no code with Keymoot.

use std::net::SocketAddr;

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::signed::from_hex;
use crate::{Cluster, RigError, raw, secret_file};

/// An account that packagers use, added by [`add_account`].
pub const ACCOUNT: &str = "Packagers";
/// Its AES signing key, in hexadecimal.
pub const AES_KEY: &str = "1ae8ccd0e7985cc0b6203a55855a1034afc252980e970ca90e5202689f947ab9";
/// The IV that belongs to it.
pub const AES_IV: &str = "d58ce954203b7c9a9a9d467f59839249";

/// Adds [`ACCOUNT`] with its AES signer to a running cluster; it also serves requests without signer.
/// Its players sign with the demo account's license key.
///
/// # Errors
/// When the command fails.
pub fn add_account(cluster: &Cluster) -> Result<(), RigError> {
    let dir = cluster.dir();
    let key = dir.join("packagers.key");
    secret_file::write(&key, &format!("{AES_KEY}:{AES_IV}\n"))?;
    let [encryption, license] =
        ["encryption.key", "license.key"].map(|name| dir.join(name).display().to_string());
    let credential = format!("signer:encryption:widevine-aes:{}", key.display());
    let keys = ["--encryption-key-file", &encryption, "--license-key-file", &license];
    let more = ["--allow-unsigned-packagers", "--if-absent", "--credential", &credential];
    cluster.add_account(ACCOUNT, &[&keys[..], &more].concat())
}

/// The path of an account's requests.
pub fn path(account: &str) -> String {
    format!("/cenc/getcontentkey/{account}")
}

/// The inner response.
#[derive(Debug, Deserialize)]
pub struct Answer {
    /// `OK`, or the reason for a refusal.
    pub status: String,
    #[serde(default)]
    pub tracks: Vec<TrackKey>,
}

/// The key of a track, or of one period of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TrackKey {
    /// `SD`, `AUDIO`, …
    #[serde(rename = "type")]
    pub track: String,
    /// Base64 of sixteen bytes.
    pub key_id: String,
    /// Base64 of sixteen bytes.
    pub key: String,
    /// The index of its crypto period.
    pub crypto_period_index: Option<u32>,
}

impl Answer {
    /// Checks that the status is `OK` and that there are `keys` keys.
    ///
    /// # Errors
    /// When it is not so.
    pub fn must_have(&self, keys: usize) -> Result<(), RigError> {
        if self.status == "OK" && self.tracks.len() == keys {
            return Ok(());
        }
        Err(RigError::Answer(format!("{} with {} keys in place of {keys}", self.status, self.tracks.len())))
    }
}

impl TrackKey {
    /// The key's sixteen bytes.
    ///
    /// # Errors
    /// When the key is not 16 bytes in base64.
    pub fn key_bytes(&self) -> Result<[u8; 16], RigError> {
        sixteen("key", &self.key)
    }

    /// The key id's sixteen bytes.
    ///
    /// # Errors
    /// When the key id is not 16 bytes in base64.
    pub fn kid_bytes(&self) -> Result<[u8; 16], RigError> {
        sixteen("key id", &self.key_id)
    }
}

fn sixteen(what: &str, text: &str) -> Result<[u8; 16], RigError> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| RigError::Answer(format!("the {what} is not base64 of sixteen bytes")))
}

/// Sends one inner request without a signer.
///
/// # Errors
/// When there is no answer, or it does not have the API's form.
pub fn ask(node: SocketAddr, account: &str, inner: &Value) -> Result<Answer, RigError> {
    let body = json!({"request": STANDARD.encode(inner.to_string())}).to_string();
    let request = raw::request("POST", &path(account), &[], body.as_bytes());
    answer_of(&raw::exchange(node, &request, raw::ANSWER_WITHIN)?)
}

/// Decodes an answer.
///
/// # Errors
/// When it does not have the API's form.
pub fn answer_of(answer: &raw::Answer) -> Result<Answer, RigError> {
    let not_sound = || RigError::Answer(format!("the answer is {}: {}", answer.status, answer.text()));
    let outer: Value = serde_json::from_slice(&answer.body).map_err(|_| not_sound())?;
    let inner = outer.get("response").and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
    inner.and_then(|inner| serde_json::from_slice(&inner).ok()).ok_or_else(not_sound)
}

/// The body of a request that [`ACCOUNT`]'s AES signer signed: AES-256-CBC of the inner request's
/// SHA-1.
///
/// # Errors
/// When [`AES_KEY`] is not valid.
pub fn signed(inner: &[u8]) -> Result<Vec<u8>, RigError> {
    let not_a_key = || RigError::Program("the signing key is not one".to_owned());
    let key = from_hex(AES_KEY).and_then(|key| <[u8; 32]>::try_from(key).ok()).ok_or_else(not_a_key)?;
    let cipher = Aes256::new(&key.into());
    let mut previous = from_hex(AES_IV).ok_or_else(not_a_key)?;
    let mut padded = Sha1::digest(inner).to_vec();
    padded.resize(32, 12);
    let mut signature = Vec::new();
    for block in padded.chunks(16) {
        let mixed: Vec<u8> = block.iter().zip(&previous).map(|(a, b)| a ^ b).collect();
        let mut block = Array::try_from(mixed.as_slice()).map_err(|_| not_a_key())?;
        cipher.encrypt_block(&mut block);
        previous = block.to_vec();
        signature.extend_from_slice(&previous);
    }
    let (request, signature) = (STANDARD.encode(inner), STANDARD.encode(signature));
    Ok(json!({"request": request, "signature": signature, "signer": ACCOUNT}).to_string().into_bytes())
}

/// The inner request for these tracks of a content.
pub fn request(content: &str, tracks: &[&str]) -> Value {
    let tracks: Vec<Value> = tracks.iter().map(|track| json!({"type": track})).collect();
    json!({"content_id": STANDARD.encode(content), "policy": "", "tracks": tracks, "drm_types": ["WIDEVINE"]})
}

/// The same for `count` periods of `seconds`, beginning at index `first`.
pub fn rotating(content: &str, tracks: &[&str], seconds: u32, first: u32, count: u32) -> Value {
    let mut inner = request(content, tracks);
    if let Some(members) = inner.as_object_mut() {
        members.insert("first_crypto_period_index".into(), json!(first));
        members.insert("crypto_period_count".into(), json!(count));
        members.insert("crypto_period_seconds".into(), json!(seconds));
    }
    inner
}

/// The inner request for the key of a key id, named in pssh data.
pub fn lookup(key_id: &str) -> Result<Value, RigError> {
    let kid = STANDARD.decode(key_id).map_err(|_| RigError::Answer("the key id is not base64".to_owned()))?;
    let pssh = [&[0x12, 16][..], &kid].concat();
    Ok(json!({"pssh_data": STANDARD.encode(pssh)}))
}
