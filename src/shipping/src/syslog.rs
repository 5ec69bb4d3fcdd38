//! Syslog messages (RFC 5424), each with its length in front (octet counting, RFC 6587 and RFC 5425).

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::macros::format_description;

use crate::form::{Form, Record};

/// The facility `log audit` (RFC 5424, 6.2.1).
const FACILITY: u8 = 13;
/// The largest number that `sequenceId` may be (RFC 5424, 7.3.1); then it begins again at 1.
const SEQUENCE_MAX: u64 = 2_147_483_647;
/// The longest message id.
const MSGID_BYTES_MAX: usize = 32;

/// The record as a framed message.
pub(crate) fn framed(record: &Record<'_>, form: Form, into: &mut Vec<u8>) {
    let message = message(record, form);
    into.extend_from_slice(message.len().to_string().as_bytes());
    into.push(b' ');
    into.extend_from_slice(message.as_bytes());
}

fn message(record: &Record<'_>, form: Form) -> String {
    let event = record.event.as_ref();
    let mut message = String::with_capacity(512);
    // Writing to a string does not fail.
    let _ = write!(
        message,
        "<{priority}>1 {time} {host} keymoot - {id} [origin software=\"keymoot\" swVersion=\"{version}\"][meta \
         sequenceId=\"{sequence}\"] ",
        priority = FACILITY * 8 + record.weight().syslog(),
        time = event.and_then(|event| time(event.time_ms)).unwrap_or_else(|| "-".to_owned()),
        host = printed(record.host, 255),
        id = printed(event.map_or("", |event| event.action.as_str()), MSGID_BYTES_MAX),
        version = env!("CARGO_PKG_VERSION"),
        sequence = record.number % SEQUENCE_MAX + 1,
    );
    message.push_str(&form.write(record));
    message
}

fn time(time_ms: u64) -> Option<String> {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let nanoseconds = i128::from(time_ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?.format(form).ok()
}

/// A field of the header: visible ASCII without blanks, or `-` for nothing.
fn printed(text: &str, bytes_max: usize) -> String {
    let seen: String =
        text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(bytes_max).collect();
    if seen.is_empty() { "-".to_owned() } else { seen }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time_ms":1700000000123,"node":3,"action":"key.read","outcome":"refused","actor":{"kind":"stranger"}}"#;

    #[test]
    fn a_message_is_as_the_standard_has_it() {
        let record = Record::new("moot.keymoot.audit/3/0a", "node-3.moot.keymoot.internal", 41, LINE, true);
        let mut frame = Vec::new();
        framed(&record, Form::Json, &mut frame);
        let text = String::from_utf8(frame).unwrap();
        let (length, message) = text.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            message,
            format!(
                "<108>1 2023-11-14T22:13:20.123Z node-3.moot.keymoot.internal keymoot - key.read [origin \
                 software=\"keymoot\" swVersion=\"{version}\"][meta sequenceId=\"42\"] \
                 {{\"log\":\"moot.keymoot.audit/3/0a\",\"number\":41,\"resent\":true,\"event\":{LINE}}}"
            )
        );
    }

    #[test]
    fn what_cannot_be_read_and_large_numbers_still_make_a_message() {
        let record = Record::new("log", "a b\n", SEQUENCE_MAX, "{\"action\":\"of tomorrow\"}", false);
        let message = message(&record, Form::Cef);
        assert!(message.starts_with("<108>1 - a_b_ keymoot - - [origin"), "{message}");
        assert!(message.contains("sequenceId=\"1\""), "{message}");
    }
}
