//! Instants as clients write them (key exchange requirement 5.4.2: time stamps are strings).

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An instant in whole seconds, of the years 0 to 9999.
///
/// Read from RFC 3339 text with any offset (`2026-11-22T16:00:00Z`, a fraction of a second is
/// dropped) or from seconds since 1970 UTC in decimal; written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeStamp(i64);

/// The first second of the year 0, since 1970.
const UNIX_S_MIN: i64 = -62_167_219_200;
/// The last second of the year 9999, since 1970.
const UNIX_S_MAX: i64 = 253_402_300_799;

/// The text is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an instant; write RFC 3339, such as 2026-11-22T16:00:00Z, or seconds since 1970 UTC in decimal, of \
     the years 0 to 9999"
)]
pub struct TimeStampError;

impl TimeStamp {
    /// The beginning of 1970 UTC.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The instant this many seconds after the beginning of 1970 UTC; `None` outside the years 0 to 9999.
    pub fn from_unix_s(seconds: i64) -> Option<Self> {
        (UNIX_S_MIN..=UNIX_S_MAX).contains(&seconds).then_some(Self(seconds))
    }

    /// The whole second of this many milliseconds after the beginning of 1970 UTC; `None` beyond the year 9999.
    pub fn from_unix_ms(milliseconds: u64) -> Option<Self> {
        i64::try_from(milliseconds / 1000).ok().and_then(Self::from_unix_s)
    }

    /// Seconds since 1970 UTC.
    pub const fn unix_s(self) -> i64 {
        self.0
    }

    /// The instant this many seconds later; `None` outside the years 0 to 9999.
    pub fn later(self, seconds: i64) -> Option<Self> {
        self.0.checked_add(seconds).and_then(Self::from_unix_s)
    }
}

impl FromStr for TimeStamp {
    type Err = TimeStampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let seconds = if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            text.parse().map_err(|_| TimeStampError)?
        } else {
            OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimeStampError)?.unix_timestamp()
        };
        Self::from_unix_s(seconds).ok_or(TimeStampError)
    }
}

impl fmt::Display for TimeStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = OffsetDateTime::from_unix_timestamp(self.0).map_err(|_| fmt::Error)?;
        f.write_str(&instant.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instants_are_read_in_both_forms_and_with_any_offset() {
        for text in
            ["2026-11-22T16:00:00Z", "2026-11-22T17:30:00+01:30", "2026-11-22T16:00:00.999Z", "1795363200"]
        {
            let read: TimeStamp = text.parse().unwrap();
            assert_eq!(
                (read.unix_s(), read.to_string().as_str()),
                (1_795_363_200, "2026-11-22T16:00:00Z"),
                "{text}"
            );
        }
        assert_eq!("-1".parse::<TimeStamp>().unwrap().to_string(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in [
            "",
            "-",
            "now",
            "1.5",
            "+1",
            "2026-11-22",
            "2026-11-22 16:00",
            "2026-02-30T00:00:00Z",
            "253402300800",
        ] {
            assert_eq!(text.parse::<TimeStamp>(), Err(TimeStampError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_reads_back_as_it_was_written(seconds in UNIX_S_MIN..=UNIX_S_MAX) {
            let instant = TimeStamp::from_unix_s(seconds).unwrap();
            prop_assert_eq!(instant.to_string().parse(), Ok(instant));
            prop_assert_eq!(seconds.to_string().parse(), Ok(instant));
        }
    }
}
