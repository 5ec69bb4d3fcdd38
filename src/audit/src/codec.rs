//! An event as bytes: one JSON object in plain ASCII. These bytes are what is on disk, what is hashed and what is
//! shown to auditors, so nothing that somebody put into a name can end a line, turn its direction or hide.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use serde::Serialize as _;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use crate::Event;

/// The bytes are no event.
#[derive(Debug, thiserror::Error)]
#[error("this is no event")]
pub struct EventError(#[from] serde_json::Error);

/// Why an event cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has at most {max} bytes as written, not {bytes}", max = Event::BYTES_MAX)]
pub struct TooLong {
    bytes: usize,
}

impl Event {
    /// The event as it is on disk.
    ///
    /// # Errors
    /// [`TooLong`] when it has more than [`Self::BYTES_MAX`] bytes.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let mut bytes = Vec::with_capacity(512);
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Ascii(CompactFormatter));
        // Nothing in an event fails to be written: no map has keys that are no strings, and a `Vec` takes all.
        if self.serialize(&mut serializer).is_err() {
            return Err(TooLong { bytes: usize::MAX });
        }
        match bytes.len() {
            0..=Self::BYTES_MAX => Ok(bytes),
            bytes => Err(TooLong { bytes }),
        }
    }

    /// Reads an event.
    ///
    /// # Errors
    /// [`EventError`] when the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// JSON with everything beyond printable ASCII escaped.
struct Ascii(CompactFormatter);

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        writer.write_all(ascii(fragment).as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }
}

/// Text in which each character that is not simply seen in ASCII is written as JSON escapes it. Of JSON, whose strings
/// alone hold such characters, it says the same afterwards.
pub fn ascii(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if matches!(c, ' '..='~') {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    Cow::Owned(escaped)
}

/// A text as it stands between the quotes of an event, to be looked for in its bytes.
pub(crate) fn encoded_text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 2);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Ascii(CompactFormatter));
    // A text always can be written into a `Vec`.
    let _written = text.serialize(&mut serializer);
    bytes.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Action, Actor, ActorKind, Outcome};

    fn event(id: &str) -> Event {
        let actor =
            Actor { kind: ActorKind::Stranger, id: Some(id.to_owned()), credential: None, role: None };
        Event::new(1, 0, Action::REQUEST, Outcome::Refused, actor)
    }

    #[test]
    fn nothing_in_a_name_can_end_a_line_or_turn_its_direction() {
        let bytes = event("a\n{\"\u{2028}\u{202e}\u{7f}\u{85}\u{1f600}\u{feff}").encode().unwrap();
        assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(r#""id":"a\n{\"\u2028\u202e\u007f\u0085\ud83d\ude00\ufeff""#), "{text}");
    }

    #[test]
    fn an_event_that_is_too_long_is_refused() {
        assert!(event(&"x".repeat(Event::BYTES_MAX)).encode().is_err());
    }

    #[test]
    fn bytes_that_are_no_event_are_refused() {
        for bytes in [b"".as_slice(), b"{}", b"[]", b"\xff", br#"{"time_ms":-1}"#] {
            assert!(Event::decode(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_the_same_after_it_was_written(text in "\\PC{0,40}|[\u{0}-\u{20}]{0,9}") {
            let event = event(&text);
            let bytes = event.encode().unwrap();
            prop_assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte)));
            prop_assert_eq!(Event::decode(&bytes).unwrap(), event);
            prop_assert!(memchr::memmem::find(&bytes, &encoded_text(&text)).is_some());
        }
    }
}
