//! Lengths of time as people type them: `500ms`, `30s`, `5m`, `2h`.

use std::str::FromStr;
use std::time::Duration;

/// A length of time. A bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(pub Duration);

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no length of time; write it like 500ms, 30s, 5m or 2h");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let ms = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(ms).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read_and_anything_else_refused() {
        let ms = |text: &str| text.parse::<TimeSpan>().map(|span| span.0.as_millis());
        for (text, expected) in [("0", 0), ("7", 7000), ("500ms", 500), ("30s", 30_000), ("2h", 7_200_000)] {
            assert_eq!(ms(text), Ok(expected), "{text}");
        }
        for text in ["", "s", "-1s", "1.5s", "1 s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert!(ms(text).is_err(), "{text}");
        }
    }
}
