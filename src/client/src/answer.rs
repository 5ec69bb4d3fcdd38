//! The answers of a key server, parsed and checked: a key, a number of deleted versions, a refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::key_client::ContentTrack;
use keymoot_crypto::ContentKey;
use keymoot_drm::{SystemData, SystemId};
use keymoot_model::Kid;

/// The longest message of a server that is shown, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// A key from the key server, with the data that goes into the media beside it.
#[derive(Debug)]
pub struct FetchedKey {
    /// The content and the track that the key is for.
    pub of: ContentTrack,
    /// The key id of the key.
    pub kid: Kid,
    /// The key, zeroized on drop.
    pub key: ContentKey,
    /// The constant IV, for media in `cbcs`.
    pub iv: Option<[u8; 16]>,
    /// The data of each DRM system that needs some; empty when none does.
    pub pssh: Vec<SystemData>,
    /// The URL from which players request licenses.
    pub license_url: Option<String>,
}

impl FetchedKey {
    /// A second copy, so that the caller and the cache hold one each.
    pub(super) fn copy(&self) -> Self {
        Self {
            of: self.of.clone(),
            iv: self.iv,
            kid: self.kid,
            key: ContentKey::from_bytes(self.key.expose()),
            pssh: self.pssh.clone(),
            license_url: self.license_url.clone(),
        }
    }
}

/// Reads an object, or an array of exactly one: the path decides which it is. The shape is checked
/// first, because a parser that tries both keeps copies of the key while it does.
pub(super) fn read_one<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    if body.trim_ascii_start().starts_with(b"[") {
        let [one] = serde_json::from_slice::<[T; 1]>(body).ok()?;
        return Some(one);
    }
    serde_json::from_slice(body).ok()
}

#[derive(Deserialize)]
struct WireKey {
    key: Zeroizing<String>,
    key_id: String,
    content_id: Option<String>,
    license_url: Option<String>,
    iv: Option<String>,
    #[serde(default)]
    pssh: Vec<WirePssh>,
}

#[derive(Deserialize)]
pub(super) struct WirePssh {
    uuid: String,
    data: String,
}

#[derive(Deserialize)]
struct WireDeleted {
    deleted: u32,
}

#[derive(Deserialize)]
struct WireRefusal {
    message: String,
    reference: Option<u64>,
}

/// Reads the key of a track. The error is a short reason, without the body.
pub(super) fn read_key(body: &[u8], of: &ContentTrack) -> Result<FetchedKey, String> {
    let wire: WireKey = read_one(body).ok_or("its answer is no key")?;
    if wire.content_id.as_deref().is_some_and(|answered| answered != of.content.as_str()) {
        return Err("it answered with another content's key".to_owned());
    }
    let pssh = wire.pssh.iter().map(read_pssh).collect::<Option<Vec<_>>>();
    let url = wire.license_url.map(|text| STANDARD.decode(text).ok().and_then(|b| String::from_utf8(b).ok()));
    Ok(FetchedKey {
        of: of.clone(),
        iv: wire.iv.as_deref().map(read_iv).transpose()?,
        kid: Kid::from_base64(&wire.key_id).map_err(|error| format!("its answer is no key: {error}"))?,
        key: ContentKey::from_base64(&wire.key).map_err(|error| format!("its answer is no key: {error}"))?,
        pssh: pssh.ok_or_else(|| "its answer holds a pssh that cannot be read".to_owned())?,
        license_url: url.flatten(),
    })
}

/// Reads a constant IV.
pub(super) fn read_iv(text: &str) -> Result<[u8; 16], String> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "its answer holds an iv that cannot be read".to_owned())
}

pub(super) fn read_pssh(wire: &WirePssh) -> Option<SystemData> {
    // Key ids and system ids are GUIDs in the same text form.
    let uuid: Kid = wire.uuid.parse().ok()?;
    Some(SystemData { uuid: SystemId::from_bytes(*uuid.as_bytes()), data: STANDARD.decode(&wire.data).ok()? })
}

/// Reads the number of deleted versions.
pub(super) fn read_deleted(body: &[u8]) -> Result<u32, String> {
    let wire: WireDeleted = read_one(body).ok_or("its answer counts no deleted versions")?;
    Ok(wire.deleted)
}

/// A server's message in a form that may be shown.
pub(super) fn plain(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect()
}

/// Reads the message and the reference of a refusal.
pub(super) fn read_refusal(body: &[u8]) -> (String, Option<u64>) {
    match serde_json::from_slice::<WireRefusal>(body) {
        Ok(wire) => (plain(&wire.message), wire.reference),
        Err(_) => ("it gave no reason".to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_model::ContentId;

    const KEY: &str = r#"{"pssh":[{"uuid":"edef8ba9-79d6-4ace-a3c8-27dcd51d21ed","data":"aGk="}],"file":null,
        "license_url":"aHR0cDovL2E=","key":"MDEyMzQ1Njc4OWFiY2RlZg==","key_id":"AQAAAAAAAAAAAAAAAAAAAA==",
        "content_id":"film"}"#;

    fn film() -> ContentTrack {
        ContentTrack::from(&ContentId::new("film").unwrap())
    }

    #[test]
    fn both_shapes_are_read() {
        for body in [KEY.to_owned(), format!("[{KEY}]")] {
            let key = read_key(body.as_bytes(), &film()).unwrap();
            assert_eq!(key.key.expose(), b"0123456789abcdef");
            assert_eq!(key.kid.as_bytes()[0], 1);
            assert_eq!(key.pssh, [SystemData { uuid: SystemId::WIDEVINE, data: b"hi".to_vec() }]);
            assert_eq!(key.license_url.as_deref(), Some("http://a"));
            assert_eq!(key.iv, None);
        }
    }

    #[test]
    fn an_iv_is_sixteen_bytes() {
        let with = |iv: &str| KEY.replace("\"file\":null", &format!("\"iv\":\"{iv}\""));
        let key = read_key(with("AgICAgICAgICAgICAgICAg==").as_bytes(), &film()).unwrap();
        assert_eq!(key.iv, Some([2; 16]));
        assert!(read_key(with("AgI=").as_bytes(), &film()).unwrap_err().contains("iv"));
    }

    #[test]
    fn what_is_no_key_of_this_content_is_refused_without_showing_it() {
        let refused = |body: String| read_key(body.as_bytes(), &film()).unwrap_err();
        for body in [
            String::new(),
            "<html>".into(),
            "[]".into(),
            format!("[{KEY},{KEY}]"),
            KEY.replace("MDEy", ""),
            KEY.replace("AQAA", ""),
            KEY.replace("aGk=", "?"),
        ] {
            let reason = refused(body);
            assert!(!reason.contains("Nzg5"), "{reason}");
        }
        assert!(refused(KEY.replace("\"film\"", "\"other\"")).contains("another content"));
    }

    #[test]
    fn a_refusal_gives_the_servers_words_without_control_characters() {
        let body = br#"{"message":"no \u001b[31msuch\n thing","status_code":"404","reference":7}"#;
        assert_eq!(read_refusal(body), ("no [31msuch thing".to_owned(), Some(7)));
        assert_eq!(read_refusal(b"<html>").1, None);
    }
}
