//! JSON read strictly enough to be signed with a plain hash.
//!
//! `SHA1(key + data)` can be extended by whoever holds one valid signature, and two readers that
//! disagree about a document can be played against each other. So a document here has one meaning
//! or none: UTF-8, one outermost object with nothing but white space after it, no name twice in any
//! object, no NUL in any text, and nesting of at most [`DEPTH_MAX`] levels. Errors carry positions
//! and fixed words, never the document's content. Values have no `Debug`: they may be secrets.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// How deep objects and lists may nest, the outermost object counted.
pub(super) const DEPTH_MAX: u8 = 16;

/// The members of an object, by their names after unescaping.
pub(super) type Members = BTreeMap<String, Value>;

/// A JSON value, no more exact than the callers need.
pub(super) enum Value {
    /// `null`.
    Null,
    /// A number without fraction or exponent that fits 64 bits, in decimal.
    Whole(String),
    /// A string, wiped when dropped.
    Text(Zeroizing<String>),
    List(Vec<Value>),
    Object(Members),
    /// `true` or `false`.
    Truth(bool),
    /// Any other number: well-formed, and nothing here reads it.
    Other,
}

/// Reads `bytes` as one object.
///
/// # Errors
/// What is wrong with the document, and at which line and column.
pub(super) fn parse_object(bytes: &[u8]) -> Result<Members, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(without_mark(bytes));
    let value = Level { left: DEPTH_MAX }.deserialize(&mut reader)?;
    reader.end()?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Error::custom("the outermost value must be an object")),
    }
}

/// The document behind a byte order mark, which some editors write and RFC 8259 (8.1) lets a reader pass over.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A place in the document, with the number of levels that may still open below it.
#[derive(Clone, Copy)]
struct Level {
    left: u8,
}

impl Level {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.left.checked_sub(1) {
            Some(left) => Ok(Self { left }),
            None => Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Truth(truth))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number.to_string()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        without_nul(text)?;
        Ok(Value::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let below = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(below)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let below = self.deeper()?;
        let mut members = Members::new();
        while let Some(name) = object.next_key::<String>()? {
            without_nul(&name)?;
            let value = object.next_value_seed(below)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is given twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// C libraries end a text at its first NUL, so a text with one means two things.
fn without_nul<E: Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') { Err(E::custom("a text holds a NUL")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(document: &[u8]) -> String {
        match parse_object(document) {
            Ok(_) => panic!("{document:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    fn nested(levels: usize) -> String {
        let mut document = "{\"a\":".repeat(levels);
        document.push('1');
        document.push_str(&"}".repeat(levels));
        document
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let members = parse_object(br#" {"a":null,"b":-7,"c":"x\/y","d":[1],"e":{},"f":true,"g":1.5} "#);
        let members = members.map_err(|e| e.to_string()).unwrap();
        assert!(matches!(members["a"], Value::Null));
        assert!(matches!(&members["b"], Value::Whole(n) if n == "-7"));
        assert!(matches!(&members["c"], Value::Text(t) if t.as_str() == "x/y"));
        assert!(matches!(&members["d"], Value::List(l) if l.len() == 1));
        assert!(matches!(&members["e"], Value::Object(o) if o.is_empty()));
        assert!(matches!(members["f"], Value::Truth(true)));
        assert!(matches!(members["g"], Value::Other));
    }

    #[test]
    fn a_name_given_twice_is_refused_at_every_level_and_through_escapes() {
        assert!(refusal(br#"{"a":1,"a":1}"#).contains("given twice"));
        assert!(refusal(br#"{"x":[{"a":1,"a":2}]}"#).contains("given twice"));
        assert!(refusal(br#"{"key":1,"k\u0065y":2}"#).contains("given twice"));
    }

    #[test]
    fn what_follows_the_object_is_refused_and_white_space_is_not() {
        assert!(refusal(br#"{"a":1}x"#).contains("trailing"));
        assert!(refusal(b"{\"a\":1}\x80\0\0").contains("trailing"));
        assert!(refusal(br#"{"a":1}{"a":2}"#).contains("trailing"));
        assert!(parse_object(b"\r\n{\"a\":1}\n").is_ok());
    }

    #[test]
    fn nul_and_bytes_that_are_not_utf8_are_refused() {
        assert!(refusal(br#"{"a":"x\u0000y"}"#).contains("NUL"));
        assert!(refusal(br#"{"a\u0000":1}"#).contains("NUL"));
        assert!(refusal(b"{\"a\":\"\0\"}").contains("control character"));
        assert!(refusal(b"{\"a\":\"\xff\"}").contains("unicode"));
        assert!(refusal(b"\xff\xfe{\0}\0").contains("expected value"));
    }

    #[test]
    fn one_byte_order_mark_is_passed_over() {
        assert!(parse_object(b"\xef\xbb\xbf{}").is_ok());
        assert!(refusal(b"\xef\xbb\xbf\xef\xbb\xbf{}").contains("expected value"));
        assert!(refusal(b"{}\xef\xbb\xbf").contains("trailing"));
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(parse_object(nested(usize::from(DEPTH_MAX)).as_bytes()).is_ok());
        assert!(refusal(nested(usize::from(DEPTH_MAX) + 1).as_bytes()).contains("deeper than 16"));
        assert!(refusal(format!("{{\"a\":{}", "[".repeat(100_000)).as_bytes()).contains("deeper than 16"));
    }

    #[test]
    fn only_an_object_may_be_outermost() {
        for document in ["[]", "1", "\"x\"", "null", "true", ""] {
            refusal(document.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn an_object_cut_short_is_refused(cut in 0_usize..40) {
            let document: &[u8] = br#"{"a":"x","b":[1,{"c":null}],"d":{"e":1}}"#;
            prop_assert_eq!(document.len(), 40);
            prop_assert!(parse_object(document).is_ok());
            prop_assert!(parse_object(&document[..cut]).is_err());
        }

        #[test]
        fn a_text_reads_back_as_it_was_written(text in "[^\0]{0,64}") {
            let document = serde_json::json!({ "a": text }).to_string();
            let members = parse_object(document.as_bytes()).unwrap();
            prop_assert!(matches!(&members["a"], Value::Text(read) if **read == text));
        }
    }
}
