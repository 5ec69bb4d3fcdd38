//! The crypto periods of rotating tracks: `{provider}/schedule` (key exchange requirements 5.1.4,
//! 5.2.4, 5.4.2, 5.4.3).
//!
//! Requests are proved and carry custom data as those of `{provider}/encryption` do. GET reads, POST
//! makes a track rotate when it does not yet, PUT replaces a seed or supplies the key of one period.

pub(crate) mod answer;

use actix_web::http::Method;
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use keymoot_auth::AuthHandle;
use keymoot_drm::EncryptionProvider;
use keymoot_model::{Period, TimeStamp, TrackName};
use keymoot_protocol::{CustomData, ScheduleData};
use keymoot_service::{ContentTrack, Ingestion, PeriodRange, PeriodsError, ServedPeriod, WantedKeys};

use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::license_url::license_url;
use crate::answer::system_data;
use crate::api::Api;
use crate::request::clock::now_s;
use crate::request::custom_data::{self, ProvedRequest};
use crate::request::own_url::license_base;
use answer::PeriodsAnswer;

/// Answers a request to `{provider}/schedule`.
pub(crate) async fn schedule(
    provider: EncryptionProvider,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let method = request.method();
    let proved = custom_data::receive(request, payload, api, auth).await?;
    let custom_data = proved.payload.value();
    let asked = ScheduleData::parse(proved.payload.bytes())?;
    let content = custom_data.content_id();
    let policy = if *method == Method::GET { None } else { custom_data.policy()? };
    let name = custom_data::track(provider, custom_data)?;
    let scheme = custom_data::scheme(provider, request, custom_data)?;
    let track = ContentTrack::new(content, &name);
    let periods = match *method {
        Method::GET => read(&proved, &asked, track, api).await?,
        _ => {
            let keys = match *method {
                Method::POST => created(custom_data, &asked, &name)?,
                _ => changed(custom_data, &asked, &name)?,
            };
            let if_absent = *method == Method::POST;
            let wanted = Ingestion { policy, if_absent, ..Ingestion::of(content, keys) };
            let served = api.keys.ingest(&proved.grant, wanted).await?.into_periods()?;
            // Of a new seed no keys need be asked for.
            (!served.is_empty()).then_some(served)
        }
    };
    let Some(served) = periods else {
        let schedules = api.keys.schedules(&proved.grant, track).await?;
        return answer::schedules(custom_data, &name, &schedules);
    };
    let account = proved.grant.account();
    let systems =
        system_data::of_periods((provider, scheme), api, account, (content, &name), &served).await?;
    answer::periods(&PeriodsAnswer {
        provider,
        scheme,
        custom_data,
        track: &name,
        asked: &asked,
        served: &served,
        systems: &systems,
        license_url: &license_url(provider, account, &license_base(request, api)),
    })
}

/// The periods that are asked for; none when the schedules themselves are.
async fn read(
    proved: &ProvedRequest,
    asked: &ScheduleData,
    track: ContentTrack<'_>,
    api: &Api,
) -> Result<Option<Vec<ServedPeriod>>, ApiError> {
    if asked.length_s.is_none() && !asked.names_periods() {
        return Ok(None);
    }
    let range = range(asked)?;
    match api.keys.known_periods(&proved.grant, track, range).await? {
        Some(served) => Ok(Some(served)),
        None => Err(not_rotating(proved.payload.value(), asked)),
    }
}

fn not_rotating(custom_data: &CustomData, asked: &ScheduleData) -> ApiError {
    let message = format!(
        "this track of content {} does not rotate by periods of {} s; POST makes it",
        custom_data.content_id(),
        asked.length_s.unwrap_or_default()
    );
    ApiError::new(ErrorKind::NotFound, message)
}

/// What POST wants: the periods, of a track that rotates from now on at the latest.
fn created<'t>(
    custom_data: &CustomData,
    asked: &ScheduleData,
    track: &'t TrackName,
) -> Result<WantedKeys<'t>, ApiError> {
    match custom_data::supplied(custom_data)? {
        None => Ok(WantedKeys::periods(track, range(asked)?)),
        Some(_) => Err(ApiError::new(ErrorKind::Invalid, "PUT supplies the key of a period, POST does not")),
    }
}

/// What PUT wants: a key for one period, or a new seed and the periods asked for, if any.
fn changed<'t>(
    custom_data: &CustomData,
    asked: &ScheduleData,
    track: &'t TrackName,
) -> Result<WantedKeys<'t>, ApiError> {
    let Some(own) = custom_data::supplied(custom_data)? else {
        let range = asked.names_periods().then(|| range(asked)).transpose()?;
        return Ok(WantedKeys::NewSeed { track, length_s: length_s(asked)?, range });
    };
    let range = range(asked)?;
    if range.count() != 1 {
        let message =
            "custom data crypto_period_count must be 1 when a key is supplied; a key holds for one period";
        return Err(ApiError::new(ErrorKind::Invalid, message));
    }
    let period = Period { length_s: range.length_s(), index: range.first() };
    Ok(WantedKeys::PeriodKey { track, period, own })
}

fn length_s(asked: &ScheduleData) -> Result<u32, ApiError> {
    asked
        .length_s
        .ok_or_else(|| ApiError::new(ErrorKind::Invalid, "Missing custom data crypto_period_seconds"))
}

fn range(asked: &ScheduleData) -> Result<PeriodRange, ApiError> {
    let length_s = length_s(asked)?;
    let now = i64::try_from(now_s()).ok().and_then(TimeStamp::from_unix_s);
    let now = now.ok_or_else(|| ApiError::internal("this node's clock is past the year 9999"))?;
    let first = asked.first_index(length_s, now)?;
    PeriodRange::new(length_s, first, asked.count).map_err(|error: PeriodsError| {
        ApiError::new(ErrorKind::Invalid, format!("custom data crypto_period_count: {error}"))
    })
}
