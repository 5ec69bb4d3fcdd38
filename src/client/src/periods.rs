//! Requests about crypto periods: their keys, which of them exist, a new key for them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::ClientError;
use super::fail_over_client::Terms;
use super::key_client::KeyClient;
use super::own_key::{KeySource, OwnKey};
use super::period_answer::{
    PeriodKey, Schedule, ScheduleListing, read_listing, read_replaced, read_schedule,
};
use super::request::{Method, PeriodMembers, Request, Wanted};
use keymoot_model::{ContentId, Period, TrackName};

/// The first period of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodStart {
    /// The period with this index.
    Index(u32),
    /// The period at this time.
    At(OffsetDateTime),
    /// The current period, by the key server's clock.
    Now,
}

/// Successive crypto periods of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodsWanted {
    /// The track whose periods are requested.
    pub track: TrackName,
    /// The length of each period in seconds; the scrambler chooses it.
    pub length_s: u32,
    /// The first period.
    pub start: PeriodStart,
    /// The number of periods, at least 1.
    pub count: u32,
    /// The time at which the period of index 0 starts; `None` means 1970-01-01T00:00:00Z.
    pub epoch: Option<OffsetDateTime>,
}

impl PeriodsWanted {
    fn members(&self) -> PeriodMembers {
        let (index, time) = match self.start {
            PeriodStart::Index(index) => (Some(index.to_string()), None),
            PeriodStart::At(time) => (None, Some(instant_text(time))),
            PeriodStart::Now => (None, Some("now".to_owned())),
        };
        PeriodMembers {
            track: Some(self.track.to_string()),
            crypto_period_seconds: Some(self.length_s.to_string()),
            first_crypto_period_index: index,
            time,
            crypto_period_count: Some(self.count.to_string()),
            epoch: self.epoch.map(instant_text),
        }
    }
}

/// RFC 3339 text; a year that RFC 3339 cannot express becomes Unix seconds.
fn instant_text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.unix_timestamp().to_string())
}

/// The time at which the period of this index starts; `None` beyond the calendar.
pub(super) fn starts_at(epoch: OffsetDateTime, length_s: u32, index: u32) -> Option<OffsetDateTime> {
    epoch.checked_add(time::Duration::seconds(i64::from(length_s) * i64::from(index)))
}

impl KeyClient {
    /// The keys of crypto periods, in order. With `create`, the track gets a schedule now when it
    /// has none for periods of this length; the first client to create it decides.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with status 404 when there is no schedule, without `create`.
    pub fn periods(
        &self,
        content: &ContentId,
        wanted: &PeriodsWanted,
        create: bool,
    ) -> Result<Schedule, ClientError> {
        self.periods_within(content, wanted, create, Terms::patient(self.settings.patience, true))
    }

    /// The same, for a caller that retries soon anyway.
    pub(super) fn periods_within(
        &self,
        content: &ContentId,
        wanted: &PeriodsWanted,
        create: bool,
        terms: Terms,
    ) -> Result<Schedule, ClientError> {
        let method = if create { Method::Post } else { Method::Get };
        let request = self.period_request(method, content, wanted.members(), None)?;
        self.fail_over_client.carry(&request, terms, |body| read_schedule(body, content, wanted))
    }

    /// The lengths of periods for which a track has keys.
    ///
    /// # Errors
    /// [`ClientError`] when no service point answers or the request is refused.
    pub fn schedules(
        &self,
        content: &ContentId,
        track: &TrackName,
    ) -> Result<Vec<ScheduleListing>, ClientError> {
        let members = PeriodMembers { track: Some(track.to_string()), ..PeriodMembers::default() };
        let request = self.period_request(Method::Get, content, members, None)?;
        let terms = Terms::patient(self.settings.patience, true);
        self.fail_over_client.carry(&request, terms, |body| read_listing(body, content, track))
    }

    /// Supplies one period with a key that is made here. It replaces the derived one, which can
    /// still be licensed.
    ///
    /// # Errors
    /// [`ClientError`] when no service point answers or the request is refused.
    pub fn supply_period(
        &self,
        content: &ContentId,
        track: &TrackName,
        period: Period,
        epoch: Option<OffsetDateTime>,
    ) -> Result<PeriodKey, ClientError> {
        let wanted = PeriodsWanted {
            track: track.clone(),
            length_s: period.length_s,
            start: PeriodStart::Index(period.index),
            count: 1,
            epoch,
        };
        let Some(own) = OwnKey::of(KeySource::Own)? else {
            return Err(ClientError::Sign(super::SignError("no key was made".to_owned())));
        };
        let request = self.period_request(Method::Put, content, wanted.members(), Some(&own))?;
        // The request names its key, so it may be sent twice with the same effect as once.
        self.fail_over_client.carry(&request, Terms::patient(self.settings.patience, true), |body| {
            let mut schedule = read_schedule(body, content, &wanted)?;
            let key = schedule.periods.pop().ok_or("it answered without a key")?;
            let is_ours = key.kid == own.kid && key.key.same_as(&own.key);
            if is_ours {
                Ok(key)
            } else {
                Err("it answered with another key than the one supplied".to_owned())
            }
        })
    }

    /// Replaces the keys of all periods of this length, past ones included. Keys from before can
    /// still be licensed by their key ids. Returns the new version.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when the answer was lost: the keys may have been replaced,
    /// and a repetition would replace them again.
    pub fn replace_periods(
        &self,
        content: &ContentId,
        track: &TrackName,
        length_s: u32,
    ) -> Result<u32, ClientError> {
        let members = PeriodMembers {
            track: Some(track.to_string()),
            crypto_period_seconds: Some(length_s.to_string()),
            ..PeriodMembers::default()
        };
        let request = self.period_request(Method::Put, content, members, None)?;
        let terms = Terms::patient(self.settings.patience, false);
        self.fail_over_client.carry(&request, terms, |body| read_replaced(body, content, track, length_s))
    }

    fn period_request(
        &self,
        method: Method,
        content: &ContentId,
        members: PeriodMembers,
        own: Option<&OwnKey>,
    ) -> Result<Request, ClientError> {
        self.request(method, content, Wanted::Periods(members), own)
    }
}
