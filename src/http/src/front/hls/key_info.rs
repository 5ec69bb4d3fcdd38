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
use crate::request::caller::own_url;
use crate::request::clock::now_s;
use crate::request::custom_data::track;
use crate::request::query::{self, Query};
use keymoot_auth::{AuthHandle, Grant};
use keymoot_crypto::random_bytes;
use keymoot_drm::EncryptionProvider;
use keymoot_model::{ContentId, KeyUri, Kid, Scope, TrackName};
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
    let wanted = Wanted::read(raw)?;
    let custom_data = query.custom_data.ok_or_else(|| {
        ApiError::new(ErrorKind::Invalid, "Missing custom data: give it as ?custom_data= in base64")
    })?;
    let payload = SignedPayload::<CustomData>::read(custom_data)?;
    let claim = (Scope::Encryption, &payload, query.signature);
    let grant = authentication::authenticate(request, Bytes::new(), claim, api, auth).await?;
    let custom_data = payload.into_what();
    let content = custom_data.content_id();
    // There is one track; another that is named is not overlooked.
    let track = track(EncryptionProvider::Hls, &custom_data)?;
    let kid = kid_of_now(&wanted, content, &track, &grant, api).await?;
    let tokens = key_tokens(api).await?;
    let ends_s = now_s().saturating_add(TOKEN_LIFETIME_S);
    let token = tokens.issue(&grant.account().id, content, &kid, ends_s);
    let own_url = own_url(request);
    let uri = match &wanted.key_uri {
        Some(uri) => uri.of(&kid),
        None => format!("{}/{kid}", license_url(EncryptionProvider::Hls, grant.account(), &own_url)),
    };
    let iv = random_bytes::<16>().map_err(ApiError::internal)?;
    let iv: String = iv.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .insert_header(("Cache-Control", "no-store"))
        .body(format!("{uri}\n{own_url}/hls/key/{kid}?token={token}\n{iv}\n")))
}

/// What the query says beside who asks.
struct Wanted {
    key_uri: Option<KeyUri>,
    /// How long crypto periods are, if the key changes with them.
    period_s: Option<u32>,
}

impl Wanted {
    fn read(raw: &str) -> Result<Self, ApiError> {
        let invalid = |message: &str| ApiError::new(ErrorKind::Invalid, message);
        let key_uri = query::parameter(raw, "key_uri")?.map(KeyUri::new).transpose();
        let key_uri = key_uri.map_err(|error| invalid(&format!("parameter key_uri: {error}")))?;
        let period_s = match query::parameter(raw, "crypto_period_seconds")? {
            None => None,
            Some(text) => Some(text.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
                invalid("parameter crypto_period_seconds must be a number of seconds from 1")
            })?),
        };
        if period_s.is_some() && key_uri.as_ref().is_some_and(|uri| !uri.has_kid_placeholder()) {
            return Err(invalid(
                "parameter key_uri must hold {kid} where keys change: players fetch each URI once",
            ));
        }
        Ok(Self { key_uri, period_s })
    }
}

/// The id of the key to encrypt with now.
async fn kid_of_now(
    wanted: &Wanted,
    content: &ContentId,
    track: &TrackName,
    grant: &Grant,
    api: &Api,
) -> Result<Kid, ApiError> {
    let Some(length_s) = wanted.period_s else {
        let wanted = Ingestion::of(content, WantedKeys::created(track));
        return Ok(api.keys.ingest(grant, wanted).await?.into_key()?.kid);
    };
    let range =
        period_at(now_s(), length_s).map_err(|error| ApiError::new(ErrorKind::Invalid, error.to_string()))?;
    let wanted = Ingestion::of(content, WantedKeys::periods(track, range));
    let served = api.keys.ingest(grant, wanted).await?.into_periods()?;
    served.first().map(|served| served.kid).ok_or_else(|| ApiError::internal("a period has no key"))
}

/// The one period of this length that an instant is in; periods are counted from 1970 UTC.
fn period_at(now_s: u64, length_s: u32) -> Result<PeriodRange, PeriodsError> {
    let index = now_s.checked_div(length_s.into()).and_then(|index| u32::try_from(index).ok());
    PeriodRange::new(length_s, index.ok_or(PeriodsError::None)?, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(raw: &str) -> String {
        Wanted::read(raw).err().unwrap().message().to_owned()
    }

    #[test]
    fn what_is_wrong_with_a_parameter_is_told() {
        for raw in ["crypto_period_seconds=0", "crypto_period_seconds=1.5", "crypto_period_seconds="] {
            assert!(refused(raw).contains("a number of seconds from 1"), "{raw}");
        }
        assert!(refused("key_uri=a%0Ab").contains("key_uri: a key URI must be of visible ASCII"));
        assert!(refused("key_uri=a.key&crypto_period_seconds=10").contains("must hold {kid}"));
        assert!(Wanted::read("key_uri=%7Bkid%7D.key&crypto_period_seconds=10&custom_data=x").is_ok());
    }

    #[test]
    fn periods_are_counted_from_1970() {
        assert_eq!(period_at(1_800_000_009, 10), PeriodRange::new(10, 180_000_000, 1));
        assert_eq!(period_at(1_800_000_010, 10), PeriodRange::new(10, 180_000_001, 1));
        assert!(period_at(u64::MAX, 1).is_err() && period_at(1, 0).is_err());
    }
}
