//! The player's side of the uDRM license API, written from the specification and W3C EME.
//!
//! Shares no code with Keymoot.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use crate::raw::{self, Answer};
use crate::{Cluster, Options, RigError, Signer, secret_file};

/// The path of Clear Key licenses.
pub const CLEAR_KEY: &str = "/cenc/clearkey/license";

/// Key ids and their keys.
pub type Keys = BTreeMap<[u8; 16], [u8; 16]>;

/// A license request: custom data and its signature in the query, the challenge as the body.
pub fn request(signer: &Signer, path: &str, custom_data: &[u8], challenge: &[u8]) -> Vec<u8> {
    raw::request("POST", &target(signer, path, custom_data), &[], challenge)
}

/// Path and query of a license request.
pub fn target(signer: &Signer, path: &str, custom_data: &[u8]) -> String {
    let text = raw::percent_encode(&STANDARD.encode(custom_data));
    let signature = raw::percent_encode(&signer.signature(custom_data));
    format!("{path}?custom_data={text}&signature={signature}")
}

/// Sends a license request and returns the answer, whatever it is.
///
/// # Errors
/// As for [`raw::exchange`].
pub fn send(
    node: SocketAddr,
    signer: &Signer,
    path: &str,
    custom_data: &[u8],
    challenge: &[u8],
) -> Result<Answer, RigError> {
    raw::exchange(node, &request(signer, path, custom_data, challenge), raw::ANSWER_WITHIN)
}

/// A Clear Key challenge for these key ids.
pub fn clear_key_challenge<'k>(kids: impl IntoIterator<Item = &'k [u8; 16]>) -> Vec<u8> {
    let kids: Vec<String> = kids.into_iter().map(|kid| URL_SAFE_NO_PAD.encode(kid)).collect();
    json!({ "kids": kids, "type": "temporary" }).to_string().into_bytes()
}

/// The keys in a Clear Key license for these key ids of a content.
///
/// # Errors
/// When there is no answer, or it is not a license.
pub fn clear_keys<'k>(
    node: SocketAddr,
    signer: &Signer,
    content: &str,
    kids: impl IntoIterator<Item = &'k [u8; 16]>,
) -> Result<Keys, RigError> {
    let data = signer.custom_data(content, &[]);
    keys_of(&send(node, signer, CLEAR_KEY, &data, &clear_key_challenge(kids))?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct License {
    keys: Vec<WebKey>,
    #[serde(rename = "type")]
    session: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WebKey {
    kty: String,
    kid: String,
    k: String,
}

/// The keys in a Clear Key license.
///
/// # Errors
/// [`RigError::Answer`] for another status, or a body that is not exactly what EME describes.
pub fn keys_of(answer: &Answer) -> Result<Keys, RigError> {
    if answer.status != 200 {
        return Err(RigError::Answer(format!("status {}: {}", answer.status, answer.text())));
    }
    let not_sound = |why: &str| RigError::Answer(format!("a 200 answer is no Clear Key license: {why}"));
    let license: License =
        serde_json::from_slice(&answer.body).map_err(|error| not_sound(&error.to_string()))?;
    if license.session != "temporary" {
        return Err(not_sound("it is of another type"));
    }
    let sixteen = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| not_sound("a member is not base64url of sixteen bytes"))
    };
    let mut keys = Keys::new();
    for key in license.keys {
        if key.kty != "oct" || keys.insert(sixteen(&key.kid)?, sixteen(&key.k)?).is_some() {
            return Err(not_sound("a key is of another type, or twice there"));
        }
    }
    Ok(keys)
}

/// Options under which these accounts' viewers are entitled to everything, with Clear Key. The
/// directory holds files that the nodes read at their start.
///
/// # Errors
/// When the file cannot be written.
pub fn entitling(accounts: &[&str]) -> Result<(Options, TempDir), RigError> {
    let dir = TempDir::with_prefix("keymoot-entitled-").map_err(RigError::io("cannot make a directory"))?;
    let file = dir.path().join("entitlements.toml");
    let entry = |account: &&str| format!("[[entitlement]]\naccount = \"{account}\"\nadapter = \"static\"\n");
    let text: String = accounts.iter().map(entry).collect();
    std::fs::write(&file, text).map_err(RigError::at("write", &file))?;
    let options = Options::default()
        .env("KEYMOOT__LICENSE__ENTITLEMENTS_FILE", &file.display().to_string())
        .env("KEYMOOT__LICENSE__CLEAR_KEY_ACCOUNTS", &accounts.join(","));
    Ok((options, dir))
}

/// Adds an account with an encryption and a license signing key, and `more` arguments; returns both
/// signers.
///
/// # Errors
/// When the command fails.
pub fn add_account(cluster: &Cluster, name: &str, more: &[&str]) -> Result<(Signer, Signer), RigError> {
    let scopes = ["encryption", "license"];
    let keys = scopes.map(|scope| format!("{scope} key of {name}"));
    let files = scopes.map(|scope| cluster.dir().join(format!("{name}-{scope}.key")));
    files.iter().zip(&keys).try_for_each(|(file, key)| secret_file::write(file, key))?;
    let [encryption, license] = files.map(|file| file.display().to_string());
    let own = ["--encryption-key-file", &encryption, "--license-key-file", &license];
    cluster.add_account(name, &[&own[..], more].concat())?;
    let [encryption, license] = keys.map(|key| Signer::new(name, "OVP", &key));
    Ok((encryption, license))
}
