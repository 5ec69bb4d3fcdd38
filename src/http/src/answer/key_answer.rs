//! What a scrambler is answered (uDRM 2.3.3): compact JSON, one object or an array of exactly one.
//!
//! Packagers read an answer into a buffer of 4 KB. No answer is longer: auxiliary data, the one part
//! that a client decides the length of, is sent only when it is asked for, and refused when it does
//! not fit.

use actix_web::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use keymoot_drm::{EncryptionProvider, SystemData};
use keymoot_model::{Account, Auxiliary, ContentId, ResponseShape};
use keymoot_service::ServedKey;

use crate::answer::auxiliary::{AuxiliaryData, PsshEntry, aux, pssh};
use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::license_url::license_url;
use crate::answer::wiped_json::{json, respond};

/// The longest answer: one byte less than the buffer of a packager.
pub(crate) const ANSWER_BYTES_MAX: usize = 4095;

/// All that an answer with a key says.
pub(crate) struct KeyAnswer<'a> {
    /// The provider that was asked.
    pub provider: EncryptionProvider,
    /// The constant IV, for packagers that need to be told one.
    pub iv: Option<[u8; 16]>,
    pub account: &'a Account,
    /// One object, or an array of one.
    pub shape: ResponseShape,
    /// The content, as it was asked for.
    pub content: &'a ContentId,
    pub served: &'a ServedKey,
    /// What each DRM system needs to know.
    pub systems: &'a [SystemData],
    /// Where players ask for licenses whose account has no license server of its own.
    pub license_base: &'a str,
    pub auxiliary: AuxiliaryAnswer<'a>,
}

/// Whether an answer carries auxiliary data.
#[derive(Clone, Copy)]
pub(crate) enum AuxiliaryAnswer<'a> {
    /// Nobody asked for it: the answer has no such member.
    NotAsked,
    /// It was asked for; `null` when the content has none.
    Asked(Option<&'a Auxiliary>),
}

/// A key and what packagers need with it (uDRM 2.3.3).
// Members stand in the specification's order, ours behind them.
#[derive(Serialize, ToSchema)]
#[schema(as = EncryptionKey)]
pub(crate) struct EncryptionKey<'a> {
    /// The data of each DRM system. Left out when there is none: an empty array makes packagers fail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pssh: Vec<PsshEntry>,
    /// Always `null`: the files of a content share its key.
    file: Option<&'a str>,
    /// Base64 of the URL at which players ask for licenses.
    license_url: String,
    /// Base64 of the 16 bytes of the key.
    key: &'a str,
    /// Base64 of the 16 bytes of the key id.
    key_id: String,
    /// Base64 of the constant IV, for the systems whose packagers need to be told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<String>,
    /// The content, as it was asked for.
    content_id: &'a str,
    /// The content's auxiliary data, if it was asked for; `null` when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AuxiliaryData<'a>>)]
    aux: Option<Option<AuxiliaryData<'a>>>,
}

/// What a delete is answered.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deleted<'a> {
    /// The content, as it was named.
    content_id: &'a str,
    /// How many versions of its key went.
    deleted: u32,
}

/// The answer that hands out a key.
///
/// # Errors
/// When the content's auxiliary data does not fit behind the rest of the answer.
pub(crate) fn key(answer: &KeyAnswer<'_>) -> Result<HttpResponse, ApiError> {
    let text = key_text(answer).map_err(ApiError::internal)?;
    if text.len() > ANSWER_BYTES_MAX {
        return Err(ApiError::new(
            ErrorKind::Invalid,
            format!(
                "with its auxiliary data the answer is longer than {ANSWER_BYTES_MAX} bytes; ask for one \
                 system, such as cenc/widevine, or without aux"
            ),
        ));
    }
    Ok(respond(text))
}

/// The answer to a delete.
pub(crate) fn deleted(content: &ContentId, versions: u32) -> Result<HttpResponse, ApiError> {
    json(&Deleted { content_id: content.as_str(), deleted: versions })
        .map(respond)
        .map_err(ApiError::internal)
}

fn key_text(answer: &KeyAnswer<'_>) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let key = answer.served.key.to_base64();
    let kid = &answer.served.kid;
    let object = EncryptionKey {
        pssh: answer.systems.iter().map(|system| pssh(system.uuid, &system.data)).collect(),
        file: None,
        license_url: STANDARD.encode(license_url(answer.provider, answer.account, answer.license_base)),
        key: &key,
        key_id: kid.to_base64(),
        iv: answer.iv.map(|iv| STANDARD.encode(iv)),
        content_id: answer.content.as_str(),
        aux: match answer.auxiliary {
            AuxiliaryAnswer::NotAsked => None,
            AuxiliaryAnswer::Asked(auxiliary) => Some(auxiliary.map(aux)),
        },
    };
    if is_array(answer.provider, answer.shape) { json(&[object]) } else { json(&object) }
}

/// Known clients of `cenc` read an array, all others an object; an account may know better.
fn is_array(provider: EncryptionProvider, shape: ResponseShape) -> bool {
    match shape {
        ResponseShape::ByPath => provider == EncryptionProvider::Cenc,
        ResponseShape::Object => false,
        ResponseShape::Array => true,
    }
}

#[cfg(test)]
mod tests;
