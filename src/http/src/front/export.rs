//! `POST /export`: an account's stored keys, each sealed for the recipient that the request names.
//!
//! No key leaves in the clear, whoever reads the answer. It is a page of lines; the last says where the
//! next page begins.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

use keymoot_auth::AuthHandle;
use keymoot_crypto::{ExportRecipient, Sealed};
use keymoot_model::Scope;
use keymoot_protocol::query::Query;
use keymoot_protocol::{ExportRequest, SignedPayload};
use keymoot_service::{ExportPage, ExportedKey};

use crate::answer::NDJSON;
use crate::answer::auxiliary::{AuxiliaryData, aux};
use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use crate::request::authentication::{self, read_listed_body};

/// One version of a key, sealed by HPKE (RFC 9180): base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
/// AES-256-GCM. All other members are bound to it.
#[derive(Serialize, ToSchema)]
pub(crate) struct SealedKey<'a> {
    /// The account it is of.
    account_id: &'a str,
    /// The content.
    content_id: &'a str,
    /// The track.
    track: &'a str,
    /// The version within its track.
    version: u32,
    /// Base64 of the 16 bytes of the key id.
    key_id: String,
    /// The one crypto period that it was supplied for.
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<SealedPeriod>,
    /// The content's auxiliary data, beside the current key of its default track. Not bound to the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    aux: Option<AuxiliaryData<'a>>,
    /// Base64 of the encapsulated key's 32 bytes.
    enc: String,
    /// Base64 of the sealed key: 16 bytes, and 16 of tag.
    ciphertext: String,
}

/// A crypto period.
#[derive(Serialize, ToSchema)]
pub(crate) struct SealedPeriod {
    /// How long such periods are; 0 when the scrambler did not say.
    length_s: u32,
    /// Which of them.
    index: u32,
}

/// The last line of an answer. Without it the answer was cut off.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportEnd {
    page: PageEnd,
}

/// What a page held.
#[derive(Serialize, ToSchema)]
pub(crate) struct PageEnd {
    /// Keys of this page.
    keys: usize,
    /// Rotating schedules of this page's tracks. Keys of crypto periods that are derived from their seeds
    /// are not exported: their key ids are made with a key that stays in the cluster.
    seeds: usize,
    /// What the next request has to give as `after`; `null` on the last page.
    next: Option<String>,
}

/// Answers an export request.
pub(crate) async fn export(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let query = Query::parse(request.query_string())?;
    let body = read_listed_body(request, payload, api).await?;
    let payload = SignedPayload::<ExportRequest>::read(body.clone())?;
    let claim = (Scope::Encryption, &payload, query.signature);
    let grant = authentication::authenticate(request, body, claim, api, auth).await?;
    let asked = payload.into_value();
    let recipient = ExportRecipient::from_bytes(&asked.recipient)
        .map_err(|error| ApiError::new(ErrorKind::Invalid, format!("recipient: {error}")))?;
    grant.trail().recipient(STANDARD.encode(asked.recipient));
    let page = api.keys.export(&grant, asked.content.as_ref(), asked.after.as_deref()).await?;
    for key in &page.keys {
        let kind = if key.period.is_some() { "period" } else { "track" };
        api.metrics.exported_keys_total.with_label_values(&[kind]).inc();
    }
    let (account, keys) = (&grant.account().id, page.keys.len());
    tracing::info!(%account, keys, seeds = page.seeds, "keys were exported for a recipient");
    // Hundreds of agreements on a curve would keep other requests of this worker waiting.
    let text = web::block(move || text(&page, &recipient)).await.map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type(NDJSON).body(text.map_err(ApiError::internal)?))
}

fn text(page: &ExportPage, recipient: &ExportRecipient) -> Result<String, String> {
    let mut text = String::with_capacity(page.keys.len() * 384);
    for key in &page.keys {
        push_line(&mut text, &sealed(key, recipient)?)?;
    }
    let next = page.next.as_ref().map(|mark| URL_SAFE_NO_PAD.encode(mark));
    push_line(&mut text, &ExportEnd { page: PageEnd { keys: page.keys.len(), seeds: page.seeds, next } })?;
    Ok(text)
}

fn sealed<'a>(key: &'a ExportedKey, recipient: &ExportRecipient) -> Result<SealedKey<'a>, String> {
    let what = Sealed { place: &key.place, version: key.version, kid: &key.kid, period: key.period };
    let (enc, ciphertext) = recipient.seal(&key.key, what).map_err(|error| error.to_string())?;
    Ok(SealedKey {
        account_id: key.place.account.as_str(),
        content_id: key.place.content.as_str(),
        track: key.place.track.as_str(),
        version: key.version,
        key_id: key.kid.to_base64(),
        period: key.period.map(|period| SealedPeriod { length_s: period.length_s, index: period.index }),
        aux: key.auxiliary.as_ref().map(aux),
        enc: STANDARD.encode(enc),
        ciphertext: STANDARD.encode(ciphertext),
    })
}

fn push_line<T: Serialize>(text: &mut String, line: &T) -> Result<(), String> {
    text.push_str(&serde_json::to_string(line).map_err(|error| error.to_string())?);
    text.push('\n');
    Ok(())
}
