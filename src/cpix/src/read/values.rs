//! Attributes and texts as values: key ids, numbers, base64, instants, durations.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use keymoot_model::Kid;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::fault::{Fault, FaultKind};
use crate::xml::Element;

/// Base64 as encryptors write it: some leave bits behind the last byte, or the padding out.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key id in an attribute; `what` names element and attribute.
pub(super) fn kid(element: &Element, attribute: &str, what: &'static str) -> Result<Kid, Fault> {
    let text = element.attribute(attribute).map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Fault::at(FaultKind::Missing { what }, element.place()))?;
    uuid(text).ok_or_else(|| {
        let form = "it must be a UUID, such as 98ee5596-cd3e-a20d-163a-e382420c6eff";
        Fault::at(FaultKind::Malformed { what, form }, element.place())
    })
}

/// A UUID: 32 hexadecimal digits, with the usual hyphens or without.
pub(super) fn uuid(text: &str) -> Option<Kid> {
    let is_shaped = match text.len() {
        32 => !text.contains('-'),
        36 => text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == matches!(at, 8 | 13 | 18 | 23)),
        _ => false,
    };
    if is_shaped { text.parse().ok() } else { None }
}

/// The bytes of base64, white space anywhere in it.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    LENIENT.decode(text).ok()
}

/// A number from 0 on in an attribute that may be missing.
pub(super) fn number(element: &Element, attribute: &str) -> Result<Option<u64>, ()> {
    match element.attribute(attribute).map(str::trim) {
        None => Ok(None),
        Some(text) => text.strip_prefix('+').unwrap_or(text).parse().map(Some).map_err(drop),
    }
}

/// A truth value in an attribute that may be missing.
pub(super) fn truth(element: &Element, attribute: &str) -> Result<Option<bool>, ()> {
    match element.attribute(attribute).map(str::trim) {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(()),
    }
}

/// An `xs:dateTime`; one without an offset is in UTC.
pub(super) fn instant(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim();
    let parse = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    parse(text).or_else(|| parse(&format!("{text}Z")))
}

/// An `xs:duration` of days, hours, minutes and seconds. Years and months are of no certain length.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let rest = text.trim().strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    let mut days = Fields { rest: days };
    total = total.checked_add(days.take('D', 86_400)?)?;
    let mut time = Fields { rest: time };
    for (letter, seconds) in [('H', 3_600), ('M', 60)] {
        total = total.checked_add(time.take(letter, seconds)?)?;
    }
    if let Some(seconds) = time.rest.strip_suffix('S') {
        let (whole, fraction) = seconds.split_once('.').map_or((seconds, "0"), |(whole, part)| (whole, part));
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let nanoseconds: i32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        total = total.checked_add(Duration::new(digits(whole)?, nanoseconds))?;
        time.rest = "";
    }
    (days.rest.is_empty() && time.rest.is_empty()).then_some(total)
}

/// Numbers with a letter behind each, in order; each may be missing.
struct Fields<'a> {
    rest: &'a str,
}

impl Fields<'_> {
    fn take(&mut self, letter: char, seconds: i64) -> Option<Duration> {
        let Some((number, rest)) = self.rest.split_once(letter) else { return Some(Duration::ZERO) };
        self.rest = rest;
        Some(Duration::seconds(digits(number)?.checked_mul(seconds)?))
    }
}

fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_schema_writes_them() {
        for (text, milliseconds) in [
            ("PT10S", 10_000),
            ("PT0S", 0),
            ("PT1H2M3.5S", 3_723_500),
            ("P1DT1M", 86_460_000),
            ("P2D", 172_800_000),
            ("PT0.001S", 1),
        ] {
            assert_eq!(duration(text), Some(Duration::milliseconds(milliseconds)), "{text}");
        }
        for text in [
            "",
            "P",
            "PT",
            "10",
            "P1Y",
            "P1M",
            "PT1S1M",
            "-PT1S",
            "PT.5S",
            "PT1.S",
            "PT1D",
            "P9999999999999999D",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn instants_have_an_offset_or_are_utc() {
        let second = |text: &str| instant(text).map(OffsetDateTime::unix_timestamp);
        assert_eq!(second("2026-01-01T00:00:06"), second("2026-01-01T01:00:06+01:00"));
        assert_eq!(second("2026-01-01T00:00:06Z"), Some(1_767_225_606));
        assert_eq!(second("2026-01-01"), None);
    }

    #[test]
    fn a_uuid_has_its_hyphens_where_they_belong_or_none() {
        assert!(uuid("98ee5596-cd3e-a20d-163a-e382420c6eff").is_some());
        assert_eq!(uuid("98EE5596CD3EA20D163AE382420C6EFF"), uuid("98ee5596-cd3e-a20d-163a-e382420c6eff"));
        for text in ["", "98ee5596cd3e-a20d-163a-e382420c6eff-", "98ee5596-cd3e-a20d-163a-e382420c6efg"] {
            assert_eq!(uuid(text), None, "{text}");
        }
    }

    #[test]
    fn base64_is_read_as_encryptors_write_it() {
        let iv = base64("L6jzdXrXAFbCJGBuMrrKrG==").unwrap();
        assert_eq!(iv.len(), 16);
        assert_eq!(base64(" L6jzdXrXAFbC\nJGBuMrrKrA "), Some(iv));
        assert_eq!(base64("****"), None);
    }
}
