//! Lengths of time as people type them: `500ms`, `30s`, `5m`, `2h`, `1h 30m`.

use std::str::FromStr;
use std::time::Duration;

use humantime::parse_duration;

/// A length of time. A bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(pub Duration);

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let read = if bare { text.parse().ok().map(Duration::from_secs) } else { parse_duration(text).ok() };
        read.map(Self)
            .ok_or_else(|| format!("`{text}` is no length of time; write it like 500ms, 30s, 5m, 2h or 7d"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read_and_anything_else_refused() {
        let ms = |text: &str| text.parse::<TimeSpan>().map(|span| span.0.as_millis());
        for (text, expected) in [
            ("0", 0),
            ("7", 7000),
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("1h 30m", 5_400_000),
        ] {
            assert_eq!(ms(text), Ok(expected), "{text}");
        }
        for text in
            ["", " ", "s", "-1s", "+1s", "1x", "5m 7", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(ms(text).is_err(), "{text}");
        }
    }
}
