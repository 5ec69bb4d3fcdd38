//! Key-info as FFmpeg reads it: the key URI for the playlist, where the encoder itself gets the key,
//! and an IV.
//!
//! The request is one of the encryption scope, proved like any other of uDRM's. The key is the
//! content's, made now if there is none, or that of the crypto period that this node's clock is in. The
//! IV is drawn anew each time, so that an encoder that asks for each segment has one for each.

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::license_url::license_url;
use crate::api::Api;
use crate::request::authentication;
use crate::request::clock::now_s;
use crate::request::custom_data::track;
use crate::request::own_url::{license_base, own_url};
use keymoot_auth::{AuthHandle, Grant};
use keymoot_crypto::random_bytes;
use keymoot_drm::EncryptionProvider;
use keymoot_model::{ContentId, Kid, Scope, TrackName};
use keymoot_protocol::hls::{self, KeyInfoError, KeyInfoQuery};
use keymoot_protocol::query::Query;
use keymoot_protocol::{CustomData, SignedPayload};
use keymoot_service::{Ingestion, PeriodRange, PeriodsError, WantedKeys};

use super::{KEYS_WITHIN, key_tokens};

/// For how long the encoder may fetch the key: through an election, and with clocks that differ.
const TOKEN_LIFETIME_S: u64 = 120;

// A token outlives the wait for the cluster's keys of whoever shows it.
const _: () = assert!(TOKEN_LIFETIME_S > KEYS_WITHIN.as_secs());

/// Answers a request for key-info.
pub(crate) async fn key_info(
    request: &HttpRequest,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let raw = request.query_string();
    let query = Query::parse(raw)?;
    let asked = KeyInfoQuery::parse(raw)?;
    let custom_data = query.custom_data.ok_or_else(|| {
        ApiError::new(ErrorKind::Invalid, "Missing custom data: give it as ?custom_data= in base64")
    })?;
    let payload = SignedPayload::<CustomData>::read(custom_data)?;
    let claim = (Scope::Encryption, &payload, query.signature);
    let grant = authentication::authenticate(request, Bytes::new(), claim, api, auth).await?;
    let custom_data = payload.into_value();
    let content = custom_data.content_id();
    // There is one track; another that is named is not overlooked.
    let track = track(EncryptionProvider::Hls, &custom_data)?;
    let kid = kid_of_now(&asked, content, &track, &grant, api).await?;
    let tokens = key_tokens(api).await?;
    let ends_s = now_s().saturating_add(TOKEN_LIFETIME_S);
    let token = tokens.issue(&grant.account().id, content, &kid, ends_s);
    let uri = match &asked.key_uri {
        Some(uri) => uri.of(&kid),
        None => {
            let base = license_base(request, api);
            format!("{}/{kid}", license_url(EncryptionProvider::Hls, grant.account(), &base))
        }
    };
    let own_url = own_url(request, api);
    let iv = random_bytes::<16>().map_err(ApiError::internal)?;
    let iv = base16ct::lower::encode_string(&iv);
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("Cache-Control", "no-store"))
        .body(format!("{uri}\n{own_url}/hls/key/{kid}?token={token}\n{iv}\n")))
}

/// The id of the key to encrypt with now.
async fn kid_of_now(
    asked: &KeyInfoQuery,
    content: &ContentId,
    track: &TrackName,
    grant: &Grant,
    api: &Api,
) -> Result<Kid, ApiError> {
    let Some(length_s) = asked.period_s else {
        let wanted = Ingestion::of(content, WantedKeys::created(track));
        return Ok(api.keys.ingest(grant, wanted).await?.into_key()?.kid);
    };
    let range = match hls::period_at(now_s(), length_s) {
        Some(index) => PeriodRange::new(length_s.get(), index, 1),
        None => Err(PeriodsError::None),
    };
    let range = range.map_err(|error| ApiError::new(ErrorKind::Invalid, error.to_string()))?;
    let wanted = Ingestion::of(content, WantedKeys::periods(track, range));
    let served = api.keys.ingest(grant, wanted).await?.into_periods()?;
    served.first().map(|served| served.kid).ok_or_else(|| ApiError::internal("a period has no key"))
}

impl From<KeyInfoError> for ApiError {
    fn from(error: KeyInfoError) -> Self {
        match error {
            KeyInfoError::Query(error) => error.into(),
            _ => Self::new(ErrorKind::Invalid, error.to_string()),
        }
    }
}
