//! A key server's answers about crypto periods, parsed and checked: an answer for other periods
//! than the requested ones, or with wrong times, is refused.

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::answer::{WirePssh, read_iv, read_one, read_pssh};
use super::periods::{PeriodStart, PeriodsWanted, starts_at};
use keymoot_crypto::ContentKey;
use keymoot_drm::SystemData;
use keymoot_model::{ContentId, Kid, Period, TrackName};

/// The key of one crypto period, with the data that goes into the media beside it.
#[derive(Debug)]
pub struct PeriodKey {
    /// The period that the key is for.
    pub period: Period,
    /// The time at which the period starts.
    pub starts_at: OffsetDateTime,
    /// The time at which it ends and the next period starts.
    pub ends_at: OffsetDateTime,
    /// The key id of the key.
    pub kid: Kid,
    /// The key, zeroized on drop.
    pub key: ContentKey,
    /// The key's version within its track.
    pub version: u32,
    /// Whether the key was supplied; otherwise it was derived.
    pub is_supplied: bool,
    /// The constant IV, for systems that use one.
    pub iv: Option<[u8; 16]>,
    /// The data of each DRM system.
    pub pssh: Vec<SystemData>,
}

impl PeriodKey {
    /// A second copy, so that the caller and the held keys have one each.
    pub(super) fn copy(&self) -> Self {
        Self { key: ContentKey::from_bytes(self.key.expose()), pssh: self.pssh.clone(), ..*self }
    }
}

/// The keys of successive crypto periods.
#[derive(Debug)]
pub struct Schedule {
    /// The content that the keys are for.
    pub content: ContentId,
    /// The track that the keys are for.
    pub track: TrackName,
    /// The time at which the period of index 0 starts.
    pub epoch: OffsetDateTime,
    /// The keys, in the order of their periods and without a gap.
    pub periods: Vec<PeriodKey>,
}

/// The keys that a track has for periods of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleListing {
    /// The length of the periods, in seconds.
    pub length_s: u32,
    /// The version of the derived keys; `None` when all were supplied.
    pub version: Option<u32>,
    /// The periods for which a key was supplied; only the first of them when there are many.
    pub supplied: Vec<u32>,
    /// The number of periods with a supplied key.
    pub supplied_count: u32,
}

#[derive(Deserialize)]
struct WireSchedule {
    content_id: String,
    track: String,
    crypto_period_seconds: String,
    epoch: String,
    periods: Vec<WirePeriod>,
}

#[derive(Deserialize)]
struct WirePeriod {
    crypto_period_index: String,
    start: String,
    end: String,
    key_id: String,
    key: Zeroizing<String>,
    version: String,
    supplied: bool,
    iv: Option<String>,
    #[serde(default)]
    pssh: Vec<WirePssh>,
}

#[derive(Deserialize)]
struct WireListing {
    content_id: String,
    track: String,
    schedules: Vec<WireListed>,
}

#[derive(Deserialize)]
struct WireListed {
    crypto_period_seconds: String,
    version: Option<String>,
    #[serde(default)]
    supplied_crypto_period_indexes: Vec<String>,
    supplied_crypto_period_count: Option<String>,
}

const UNREADABLE: &str = "its answer holds no crypto periods that can be read";

/// Reads the requested keys. The error is a short reason, without the body.
pub(super) fn read_schedule(
    body: &[u8],
    content: &ContentId,
    wanted: &PeriodsWanted,
) -> Result<Schedule, String> {
    let wire: WireSchedule = read_one(body).ok_or(UNREADABLE)?;
    let is_ours = wire.content_id == content.as_str()
        && wire.track == wanted.track.as_str()
        && wire.crypto_period_seconds == wanted.length_s.to_string();
    if !is_ours {
        return Err("it answered with the periods of another content, track or length".to_owned());
    }
    let epoch = instant(&wire.epoch)?;
    if epoch != wanted.epoch.unwrap_or(OffsetDateTime::UNIX_EPOCH) {
        return Err("it counts periods from another time than it was told".to_owned());
    }
    let read = |wire: &WirePeriod| read_period(wire, epoch, wanted.length_s);
    let periods = wire.periods.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if !are_those_wanted(&periods, wanted) {
        return Err("it answered with other periods than those asked for".to_owned());
    }
    Ok(Schedule { content: content.clone(), track: wanted.track.clone(), epoch, periods })
}

fn are_those_wanted(periods: &[PeriodKey], wanted: &PeriodsWanted) -> bool {
    let Some(first) = periods.first() else { return false };
    let begins = match wanted.start {
        PeriodStart::Index(index) => first.period.index == index,
        PeriodStart::At(time) => first.starts_at <= time && time < first.ends_at,
        PeriodStart::Now => true,
    };
    let follow = periods.iter().zip(first.period.index..).all(|(key, index)| key.period.index == index);
    begins && follow && u32::try_from(periods.len()) == Ok(wanted.count)
}

fn read_period(wire: &WirePeriod, epoch: OffsetDateTime, length_s: u32) -> Result<PeriodKey, String> {
    let period = Period { length_s, index: number(&wire.crypto_period_index)? };
    let (starts, ends) = (instant(&wire.start)?, instant(&wire.end)?);
    let is_right = starts_at(epoch, length_s, period.index) == Some(starts)
        && starts.checked_add(time::Duration::seconds(i64::from(length_s))) == Some(ends);
    if !is_right {
        return Err(format!("its times of crypto period {} are wrong", period.index));
    }
    let no_key = |error: &dyn std::fmt::Display| format!("its answer holds no key: {error}");
    let pssh = wire.pssh.iter().map(read_pssh).collect::<Option<Vec<_>>>();
    Ok(PeriodKey {
        period,
        starts_at: starts,
        ends_at: ends,
        kid: Kid::from_base64(&wire.key_id).map_err(|error| no_key(&error))?,
        key: ContentKey::from_base64(&wire.key).map_err(|error| no_key(&error))?,
        version: number(&wire.version)?,
        is_supplied: wire.supplied,
        iv: wire.iv.as_deref().map(read_iv).transpose()?,
        pssh: pssh.ok_or("its answer holds a pssh that cannot be read")?,
    })
}

/// Reads the lengths for which there are keys.
pub(super) fn read_listing(
    body: &[u8],
    content: &ContentId,
    track: &TrackName,
) -> Result<Vec<ScheduleListing>, String> {
    let wire: WireListing = read_one(body).ok_or("its answer lists no schedules")?;
    if wire.content_id != content.as_str() || wire.track != track.as_str() {
        return Err("it answered with the schedules of another content or track".to_owned());
    }
    let read = |listed: &WireListed| {
        let supplied = listed.supplied_crypto_period_indexes.iter().map(|text| number(text));
        let supplied = supplied.collect::<Result<Vec<u32>, String>>()?;
        let count = listed.supplied_crypto_period_count.as_deref().map(number).transpose()?;
        Ok(ScheduleListing {
            length_s: number(&listed.crypto_period_seconds)?,
            version: listed.version.as_deref().map(number).transpose()?,
            supplied_count: count.unwrap_or_else(|| u32::try_from(supplied.len()).unwrap_or(u32::MAX)),
            supplied,
        })
    };
    wire.schedules.iter().map(read).collect()
}

/// Reads the version of the keys that replaced all keys of this length.
pub(super) fn read_replaced(
    body: &[u8],
    content: &ContentId,
    track: &TrackName,
    length_s: u32,
) -> Result<u32, String> {
    let listed = read_listing(body, content, track)?;
    let version = listed.iter().find(|listed| listed.length_s == length_s).and_then(|listed| listed.version);
    version.ok_or_else(|| "its answer names no version of the new keys".to_owned())
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| UNREADABLE.to_owned())
}

fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| UNREADABLE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"content_id":"film","track":"DEFAULT","crypto_period_seconds":"10",
        "epoch":"1970-01-01T00:00:00Z","periods":[
        {"crypto_period_index":"171","start":"1970-01-01T00:28:30Z","end":"1970-01-01T00:28:40Z",
         "key_id":"AQAAAAAAAAAAAAAAAAAAAA==","key":"MDEyMzQ1Njc4OWFiY2RlZg==","version":"1","supplied":false,
         "iv":"AQEBAQEBAQEBAQEBAQEBAQ==","pssh":[{"uuid":"edef8ba9-79d6-4ace-a3c8-27dcd51d21ed","data":"aGk="}]},
        {"crypto_period_index":"172","start":"1970-01-01T00:28:40Z","end":"1970-01-01T00:28:50Z",
         "key_id":"AgAAAAAAAAAAAAAAAAAAAA==","key":"MDEyMzQ1Njc4OWFiY2RlZg==","version":"2","supplied":true}],
        "next_crypto_period_index":"173"}"#;

    fn wanted(start: PeriodStart) -> PeriodsWanted {
        PeriodsWanted { track: TrackName::default_track(), length_s: 10, start, count: 2, epoch: None }
    }

    fn read(body: &str, wanted: &PeriodsWanted) -> Result<Schedule, String> {
        read_schedule(body.as_bytes(), &ContentId::new("film").unwrap(), wanted)
    }

    #[test]
    fn the_documented_answer_is_read() {
        let at = OffsetDateTime::from_unix_timestamp(1719).unwrap();
        for start in [PeriodStart::Index(171), PeriodStart::At(at), PeriodStart::Now] {
            let schedule = read(BODY, &wanted(start)).unwrap();
            let [first, second] = schedule.periods.as_slice() else { panic!() };
            assert_eq!(first.starts_at.unix_timestamp(), 1710);
            assert_eq!(
                (first.key.expose(), first.iv, first.pssh.len()),
                (b"0123456789abcdef", Some([1; 16]), 1)
            );
            assert_eq!((second.period.index, second.version, second.is_supplied), (172, 2, true));
        }
    }

    #[test]
    fn other_periods_or_wrong_times_are_refused_without_showing_the_key() {
        let default = wanted(PeriodStart::Index(171));
        for body in [
            BODY.replace("\"film\"", "\"other\""),
            BODY.replace("DEFAULT", "HD"),
            BODY.replace("\"10\"", "\"20\""),
            BODY.replace("00:28:30Z", "00:28:31Z"),
            BODY.replace("1970-01-01T00:00:00Z", "1970-01-01T00:00:10Z"),
            BODY.replace("\"172\"", "\"173\""),
            BODY.replace("MDEy", ""),
            "{}".to_owned(),
        ] {
            let refused = read(&body, &default).unwrap_err();
            assert!(!refused.contains("Nzg5"), "{refused}");
        }
        assert!(read(BODY, &wanted(PeriodStart::Index(170))).is_err());
        assert!(read(BODY, &PeriodsWanted { count: 3, ..default }).is_err());
    }

    #[test]
    fn a_listing_is_read() {
        let body = br#"{"content_id":"film","track":"DEFAULT","schedules":[
            {"crypto_period_seconds":"10","version":"3","supplied_crypto_period_indexes":["7"],
             "supplied_crypto_period_count":"1"},
            {"crypto_period_seconds":"20","supplied_crypto_period_indexes":["1","2"]}]}"#;
        let (content, track) = (ContentId::new("film").unwrap(), TrackName::default_track());
        let listed = read_listing(body, &content, &track).unwrap();
        let first = ScheduleListing { length_s: 10, version: Some(3), supplied: vec![7], supplied_count: 1 };
        assert_eq!(listed[0], first);
        assert_eq!((listed[1].version, listed[1].supplied_count), (None, 2));
        assert_eq!(read_replaced(body, &content, &track, 10), Ok(3));
        assert!(read_replaced(body, &content, &track, 20).is_err());
    }
}
