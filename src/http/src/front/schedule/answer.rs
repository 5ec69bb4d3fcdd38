//! What a scrambler is told of crypto periods: which key holds when, and how its systems name it.
//!
//! Numbers and instants are strings (key exchange requirement 5.4.2), so that no reader rounds them.

use actix_web::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use keymoot_drm::{EncryptionProvider, ProtectionScheme, SystemData};
use keymoot_model::TrackName;
use keymoot_protocol::{CustomData, ScheduleData};
use keymoot_service::{Schedule, ServedPeriod};

use crate::answer::auxiliary::{PsshEntry, pssh};
use crate::answer::error::ApiError;
use crate::answer::wiped_json::{json, respond};

/// All that an answer with the keys of periods says.
pub(crate) struct PeriodsAnswer<'a> {
    /// The provider that was asked.
    pub provider: EncryptionProvider,
    /// How samples are encrypted.
    pub scheme: ProtectionScheme,
    /// Whose keys were asked for.
    pub custom_data: &'a CustomData,
    pub track: &'a TrackName,
    pub asked: &'a ScheduleData,
    /// The keys, by period.
    pub served: &'a [ServedPeriod],
    /// For each period the data of each system.
    pub systems: &'a [Vec<SystemData>],
    /// Where players ask for licenses.
    pub license_url: &'a str,
}

/// The keys of successive crypto periods of a track.
#[derive(Serialize, ToSchema)]
#[schema(as = PeriodKeys)]
pub(crate) struct Periods<'a> {
    /// The content, as it was asked for.
    content_id: &'a str,
    /// The track.
    track: &'a str,
    /// How long a period is.
    crypto_period_seconds: String,
    /// When the period of index 0 begins.
    epoch: String,
    periods: Vec<PeriodKey>,
    /// The period after the last one here; left out when there can be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_crypto_period_index: Option<String>,
    /// Base64 of the URL.
    license_url: String,
}

/// The key of one crypto period.
#[derive(Serialize, ToSchema)]
struct PeriodKey {
    /// Which period.
    crypto_period_index: String,
    /// Left out, as `end` is, when the period lies after the year 9999.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    /// Base64 of the 16 bytes of the key id.
    key_id: String,
    /// Base64 of the 16 bytes of the key.
    #[schema(value_type = String)]
    key: zeroize::Zeroizing<String>,
    /// The version of the track that the key, or its seed, is.
    version: String,
    /// Whether the scrambler supplied the key.
    supplied: bool,
    /// Base64 of the constant IV, for the systems whose packagers need to be told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    iv: Option<String>,
    /// Left out when the provider has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pssh: Vec<PsshEntry>,
}

/// How a track rotates.
#[derive(Serialize, ToSchema)]
pub(crate) struct Schedules<'a> {
    /// The content, as it was asked for.
    content_id: &'a str,
    /// The track.
    track: &'a str,
    /// One for each length of its periods.
    schedules: Vec<OneSchedule>,
}

/// How a track rotates by periods of one length.
#[derive(Serialize, ToSchema)]
#[schema(as = Schedule)]
struct OneSchedule {
    /// How long a period is.
    crypto_period_seconds: String,
    /// The version of the track that the seed is; left out when all keys were supplied.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The periods with a key of the scrambler's own, the first of them when they are many.
    supplied_crypto_period_indexes: Vec<String>,
    /// How many they are.
    supplied_crypto_period_count: String,
}

/// The answer that hands out the keys of periods.
pub(crate) fn periods(answer: &PeriodsAnswer<'_>) -> Result<HttpResponse, ApiError> {
    let length_s = answer.served.first().map_or(0, |served| served.period.length_s);
    let last = answer.served.last().and_then(|served| served.period.index.checked_add(1));
    let keys = answer.served.iter().zip(answer.systems);
    let text = json(&Periods {
        content_id: answer.custom_data.content_id().as_str(),
        track: answer.track.as_str(),
        crypto_period_seconds: length_s.to_string(),
        epoch: answer.asked.epoch.to_string(),
        periods: keys.map(|(served, systems)| period_key(answer, served, systems)).collect(),
        next_crypto_period_index: last.map(|index| index.to_string()),
        license_url: STANDARD.encode(answer.license_url),
    });
    text.map(respond).map_err(ApiError::internal)
}

fn period_key(answer: &PeriodsAnswer<'_>, served: &ServedPeriod, systems: &[SystemData]) -> PeriodKey {
    let span = answer.asked.span(served.period.length_s, served.period.index);
    PeriodKey {
        crypto_period_index: served.period.index.to_string(),
        start: span.map(|(start, _)| start.to_string()),
        end: span.map(|(_, end)| end.to_string()),
        key_id: served.kid.to_base64(),
        key: served.key.to_base64(),
        version: served.version.to_string(),
        supplied: served.supplied,
        iv: answer.provider.constant_iv(answer.scheme, &served.kid).map(|iv| STANDARD.encode(iv)),
        pssh: systems.iter().map(|system| pssh(system.uuid, &system.data)).collect(),
    }
}

/// The answer that lists how a track rotates.
pub(crate) fn schedules(
    custom_data: &CustomData,
    track: &TrackName,
    schedules: &[Schedule],
) -> Result<HttpResponse, ApiError> {
    let listed = schedules.iter().map(|schedule| OneSchedule {
        crypto_period_seconds: schedule.length_s.to_string(),
        version: schedule.version.map(|version| version.to_string()),
        supplied_crypto_period_indexes: schedule.supplied.iter().map(u32::to_string).collect(),
        supplied_crypto_period_count: schedule.supplied_count.to_string(),
    });
    let text = json(&Schedules {
        content_id: custom_data.content_id().as_str(),
        track: track.as_str(),
        schedules: listed.collect(),
    });
    text.map(respond).map_err(ApiError::internal)
}
