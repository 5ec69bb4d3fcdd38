//! What the custom data of a schedule request says of crypto periods, beside what all custom data
//! says (key exchange requirements 5.1.4, 5.2.4, 5.4.2): the scrambler chooses the length of a
//! period, from when it counts, and which periods it wants.
//!
//! Read from the very bytes that [`CustomData`](super::CustomData) was read from. Numbers may be
//! strings, as time stamps are.

use super::CustomDataError;
use super::custom_data::{optional, text_or_number};
use super::strict_json::{Members, parse_object};
use keymoot_model::TimeStamp;

/// What custom data says of crypto periods. Numbers and instants may be strings.
// The comments of the fields are what the published API says of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PeriodData))]
pub struct ScheduleData {
    /// How long a period is; at least one second. Left out in a GET without a first period, which lists how
    /// the track rotates.
    #[cfg_attr(feature = "openapi", schema(rename = "crypto_period_seconds", value_type = Option<String>))]
    pub length_s: Option<u32>,
    /// The first period that is asked for; or `time`.
    #[cfg_attr(feature = "openapi", schema(rename = "first_crypto_period_index", value_type = Option<String>))]
    pub first: Option<u32>,
    /// `now`, RFC 3339 text or seconds since 1970 UTC: the first period is the one that holds then.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub time: Option<PeriodTime>,
    /// How many periods; one when it is left out.
    #[cfg_attr(feature = "openapi", schema(rename = "crypto_period_count", value_type = Option<String>))]
    pub count: u32,
    /// When the period of index 0 begins; 1970 UTC when it is left out.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub epoch: TimeStamp,
}

/// An instant that a period holds at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodTime {
    At(TimeStamp),
    /// By the server's clock.
    Now,
}

impl ScheduleData {
    /// Reads custom data.
    ///
    /// # Errors
    /// [`CustomDataError`] names the member at fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, CustomDataError> {
        let members = parse_object(bytes).map_err(|e| CustomDataError::NotJson { reason: e.to_string() })?;
        let first = whole(&members, "first_crypto_period_index", "a whole number from 0 to 4294967295")?;
        let time = instant(&members)?;
        if first.is_some() && time.is_some() {
            let expected = "left out when first_crypto_period_index is given";
            return Err(CustomDataError::Form { member: "time", expected });
        }
        let expected = "a whole number of seconds from 1 to 4294967295";
        let member = "crypto_period_seconds";
        let length_s = whole(&members, member, expected)?;
        if length_s == Some(0) {
            return Err(CustomDataError::Form { member, expected });
        }
        let count = whole(&members, "crypto_period_count", "a whole number")?.unwrap_or(1);
        Ok(Self { length_s, first, time, count, epoch: epoch(&members)? })
    }

    /// Whether it says which periods it asks for.
    pub fn names_periods(&self) -> bool {
        self.first.is_some() || self.time.is_some()
    }

    /// The index of the first period, with this `now`.
    ///
    /// # Errors
    /// When nothing says which it is, or the instant lies outside all periods.
    pub fn first_index(&self, length_s: u32, now: TimeStamp) -> Result<u32, CustomDataError> {
        let at = match (self.first, self.time) {
            (Some(index), _) => return Ok(index),
            (None, Some(PeriodTime::At(at))) => at,
            (None, Some(PeriodTime::Now)) => now,
            (None, None) => {
                return Err(CustomDataError::Missing { member: "first_crypto_period_index or time" });
            }
        };
        // Both are instants of ten thousand years: the difference fits.
        let since = at.unix_s() - self.epoch.unix_s();
        u32::try_from(since.div_euclid(i64::from(length_s))).map_err(|_| CustomDataError::Form {
            member: "time",
            expected: "an instant not before epoch, and within 4294967296 periods of it",
        })
    }

    /// When the period of this index begins and ends; `None` after the year 9999.
    pub fn span(&self, length_s: u32, index: u32) -> Option<(TimeStamp, TimeStamp)> {
        let start = self.epoch.later(i64::from(index).checked_mul(i64::from(length_s))?)?;
        Some((start, start.later(length_s.into())?))
    }
}

/// A member that is there and not empty; clients send what they have nothing to say in empty.
fn given<'m>(members: &'m Members, member: &'static str) -> Result<Option<&'m str>, CustomDataError> {
    Ok(optional(members, member, text_or_number)?.filter(|text| !text.is_empty()))
}

fn whole(
    members: &Members,
    member: &'static str,
    expected: &'static str,
) -> Result<Option<u32>, CustomDataError> {
    let number = given(members, member)?.map(str::parse).transpose();
    number.map_err(|_| CustomDataError::Form { member, expected })
}

/// What `time` and `epoch` must be.
const INSTANT: &str = "RFC 3339 text such as 2026-11-22T16:00:00Z, or seconds since 1970 UTC in decimal";

fn instant(members: &Members) -> Result<Option<PeriodTime>, CustomDataError> {
    match given(members, "time")? {
        None => Ok(None),
        Some("now") => Ok(Some(PeriodTime::Now)),
        Some(text) => match text.parse() {
            Ok(at) => Ok(Some(PeriodTime::At(at))),
            Err(_) => Err(CustomDataError::Form { member: "time", expected: INSTANT }),
        },
    }
}

fn epoch(members: &Members) -> Result<TimeStamp, CustomDataError> {
    match given(members, "epoch")? {
        None => Ok(TimeStamp::UNIX_EPOCH),
        Some(text) => text.parse().map_err(|_| CustomDataError::Form { member: "epoch", expected: INSTANT }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(members: &str) -> Result<ScheduleData, CustomDataError> {
        ScheduleData::parse(format!("{{\"content_id\":\"a\"{members}}}").as_bytes())
    }

    fn at(unix_s: i64) -> TimeStamp {
        TimeStamp::from_unix_s(unix_s).unwrap()
    }

    #[test]
    fn numbers_may_be_strings_and_what_is_left_out_has_its_meaning() {
        let nothing = parse("").unwrap();
        assert_eq!((nothing.length_s, nothing.names_periods()), (None, false));
        assert_eq!((nothing.count, nothing.epoch), (1, TimeStamp::UNIX_EPOCH));
        let text = parse(
            r#","crypto_period_seconds":"10","first_crypto_period_index":"7","crypto_period_count":"3","epoch":"1970-01-01T00:01:00Z""#,
        );
        let number = parse(
            r#","crypto_period_seconds":10,"first_crypto_period_index":7,"crypto_period_count":3,"epoch":60"#,
        );
        assert_eq!(text, number);
        let data = text.unwrap();
        assert_eq!((data.length_s, data.first, data.count), (Some(10), Some(7), 3));
        assert_eq!(data.span(10, 7), Some((at(130), at(140))));
    }

    #[test]
    fn an_instant_falls_into_the_period_that_holds_then() {
        let index = |members: &str, now| parse(members).unwrap().first_index(10, at(now));
        assert_eq!(index(r#","time":"129","epoch":"60""#, 0), Ok(6));
        assert_eq!(index(r#","time":"130","epoch":"60""#, 0), Ok(7));
        assert_eq!(index(r#","time":"now""#, 99), Ok(9));
        assert!(
            index(r#","time":"59","epoch":"60""#, 0).unwrap_err().to_string().contains("not before epoch")
        );
        assert!(index("", 0).unwrap_err().to_string().contains("first_crypto_period_index or time"));
        assert_eq!(parse("").unwrap().span(u32::MAX, u32::MAX), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (members, word) in [
            (r#","crypto_period_seconds":"0""#, "crypto_period_seconds"),
            (r#","crypto_period_seconds":"-1""#, "crypto_period_seconds"),
            (r#","crypto_period_seconds":[]"#, "crypto_period_seconds"),
            (r#","first_crypto_period_index":"4294967296""#, "first_crypto_period_index"),
            (r#","crypto_period_count":"many""#, "crypto_period_count"),
            (r#","time":"yesterday""#, "time"),
            (r#","time":"0","first_crypto_period_index":"0""#, "time"),
            (r#","epoch":"now""#, "epoch"),
        ] {
            let refusal = parse(members).unwrap_err().to_string();
            assert!(refusal.contains(word), "{members}: {refusal}");
        }
    }
}
