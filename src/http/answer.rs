//! What a scrambler is answered (uDRM 2.3.3): compact JSON, one object or an array of exactly one.

use actix_web::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::{Zeroize, Zeroizing};

use crate::drm::{EncryptionProvider, SystemData};
use crate::model::{Account, ContentId, ResponseShape};
use crate::service::ServedKey;

/// The specification's object. Members stand in its order.
#[derive(Serialize)]
struct Encryption<'a> {
    /// Left out when there is none: an empty array makes packagers fail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pssh: Vec<Pssh>,
    file: Option<&'a str>,
    license_url: String,
    key: &'a str,
    key_id: String,
    content_id: &'a str,
}

#[derive(Serialize)]
struct Pssh {
    /// Base64 of the system's data, without the header of the pssh box.
    data: String,
    /// Lower-case dashed GUID of the system.
    uuid: String,
}

/// What a delete is answered.
#[derive(Serialize)]
struct Deleted<'a> {
    content_id: &'a str,
    deleted: u32,
}

/// The answer that hands out a key.
pub fn key(
    provider: EncryptionProvider,
    account: &Account,
    content: &ContentId,
    served: &ServedKey,
    systems: &[SystemData],
    own_url: &str,
) -> Result<HttpResponse, serde_json::Error> {
    let pssh = systems
        .iter()
        .map(|system| Pssh { data: STANDARD.encode(&system.data), uuid: system.uuid.to_string() });
    let key = served.key.to_base64();
    let object = Encryption {
        pssh: pssh.collect(),
        file: None,
        license_url: STANDARD.encode(license_url(provider, account, own_url)),
        key: &key,
        key_id: served.kid.to_base64(),
        content_id: content.as_str(),
    };
    if is_array(provider, account) { json(&[object]) } else { json(&object) }
}

/// The answer to a delete.
pub fn deleted(content: &ContentId, versions: u32) -> Result<HttpResponse, serde_json::Error> {
    json(&Deleted { content_id: content.as_str(), deleted: versions })
}

/// Where a player asks for licenses. `cenc` stands for several systems, so its URL ends before the
/// system: a player adds `/widevine/license` or the like.
pub fn license_url(provider: EncryptionProvider, account: &Account, own_url: &str) -> String {
    let base = account.license_url.as_deref().unwrap_or(own_url).trim_end_matches('/');
    match provider {
        EncryptionProvider::Cenc => format!("{base}/cenc"),
        provider => format!("{base}/{provider}/license"),
    }
}

/// Known clients of `cenc` read an array, all others an object; an account may know better.
fn is_array(provider: EncryptionProvider, account: &Account) -> bool {
    match account.response_shape {
        ResponseShape::ByPath => provider == EncryptionProvider::Cenc,
        ResponseShape::Object => false,
        ResponseShape::Array => true,
    }
}

fn json<T: Serialize>(value: &T) -> Result<HttpResponse, serde_json::Error> {
    let mut text = Zeroizing::new(Vec::with_capacity(2048));
    serde_json::to_writer(&mut *text, value)?;
    // The framework sends and drops the bytes; the copy that stays here is wiped.
    let body = actix_web::web::Bytes::copy_from_slice(&text);
    text.zeroize();
    Ok(HttpResponse::Ok().content_type("application/json").body(body))
}
