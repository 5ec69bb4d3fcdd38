//! The member `aux` of custom data: what a client wants kept beside the content's keys.
//!
//! Custom data may hold members that nobody here knows; `aux` may not. What a client asks to be kept
//! and the server would drop, it hears of at once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::CustomDataError;
use super::strict_json::{Members, Value};
use keymoot_model::{Auxiliary, Kid, Rating, SystemHeader};

const OBJECT: &str = "an object of ratings, output_protection, super_cas_id and system_headers";
const RATINGS: &str = "an object whose ratings is a list of at most 8 objects of scheme and value, both text";
const CONTROLS: &str =
    "an object whose output_protection is an object of at most 16 members, each text or a whole number";
const SUPER_CAS_ID: &str = "an object whose super_cas_id is 32 bits: a number, or text such as 0x4ad40001";
const HEADERS: &str = "an object whose system_headers is a list of at most 4 objects of uuid, a GUID, and data, standard base64";
const PLAIN: &str = "an object whose texts hold no control characters";
const SHORT: &str = "an object of at most 1024 bytes of text, names included";

/// Reads the member, if it is there.
///
/// # Errors
/// [`CustomDataError::Form`] says what the member must be.
pub(super) fn auxiliary(members: &Members) -> Result<Option<Auxiliary>, CustomDataError> {
    let wrong = |expected| CustomDataError::Form { member: "aux", expected };
    match members.get("aux") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).map_err(wrong),
    }
}

/// What is there, or what it must be instead.
fn read(value: &Value) -> Result<Auxiliary, &'static str> {
    let members = object(value, OBJECT)?;
    if text_bytes(value).ok_or(PLAIN)? > Auxiliary::TEXT_BYTES_MAX {
        return Err(SHORT);
    }
    let mut auxiliary = Auxiliary::default();
    for (name, value) in members {
        match name.as_str() {
            "ratings" => {
                auxiliary.ratings = list(value, Auxiliary::RATINGS_MAX, RATINGS, rating)?;
            }
            "output_protection" => {
                let controls = object(value, CONTROLS)?;
                if controls.len() > Auxiliary::CONTROLS_MAX {
                    return Err(CONTROLS);
                }
                for (name, value) in controls {
                    let value = text_or_number(value).ok_or(CONTROLS)?;
                    auxiliary.output_protection.insert(name.clone(), value.to_owned());
                }
            }
            "super_cas_id" => auxiliary.super_cas_id = Some(super_cas_id(value).ok_or(SUPER_CAS_ID)?),
            "system_headers" => {
                auxiliary.system_headers =
                    list(value, Auxiliary::SYSTEM_HEADERS_MAX, HEADERS, system_header)?;
            }
            _ => return Err(OBJECT),
        }
    }
    Ok(auxiliary)
}

fn object<'v>(value: &'v Value, expected: &'static str) -> Result<&'v Members, &'static str> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(expected),
    }
}

fn list<T>(
    value: &Value,
    most: usize,
    expected: &'static str,
    read: fn(&Value) -> Option<T>,
) -> Result<Vec<T>, &'static str> {
    match value {
        Value::List(values) if values.len() <= most => {
            values.iter().map(read).collect::<Option<_>>().ok_or(expected)
        }
        _ => Err(expected),
    }
}

fn rating(value: &Value) -> Option<Rating> {
    let [scheme, value] = pair(value, ["scheme", "value"])?;
    Some(Rating { scheme: scheme.to_owned(), value: value.to_owned() })
}

fn system_header(value: &Value) -> Option<SystemHeader> {
    let [uuid, data] = pair(value, ["uuid", "data"])?;
    // Key ids and system ids are GUIDs of one text form; there is one reader for both.
    let system = *uuid.parse::<Kid>().ok()?.as_bytes();
    Some(SystemHeader { system, data: STANDARD.decode(data).ok()? })
}

/// The two texts of an object that has these members and no other.
fn pair<'v>(value: &'v Value, names: [&str; 2]) -> Option<[&'v str; 2]> {
    let Value::Object(members) = value else { return None };
    let [first, second] = names.map(|name| match members.get(name) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    (members.len() == 2).then_some([first?, second?])
}

fn text_or_number(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Whole(number) => Some(number),
        _ => None,
    }
}

fn super_cas_id(value: &Value) -> Option<u32> {
    let text = text_or_number(value)?;
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match digits {
        // A sign would be read as part of the number, though no id has one.
        Some(digits) if digits.starts_with('+') => None,
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

/// How much text there is in all, or nothing when one holds a control character.
fn text_bytes(value: &Value) -> Option<usize> {
    let plain = |text: &str| (!text.chars().any(char::is_control)).then_some(text.len());
    match value {
        Value::Text(text) => plain(text),
        Value::Whole(number) => Some(number.len()),
        Value::List(values) => values.iter().map(text_bytes).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| Some(plain(name)? + text_bytes(value)?)).sum()
        }
        Value::Null | Value::Truth(_) | Value::Other => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::strict_json::parse_object;
    use super::*;

    fn parse(aux: &serde_json::Value) -> Result<Option<Auxiliary>, String> {
        let document = json!({ "content_id": "a", "aux": aux }).to_string();
        let members = parse_object(document.as_bytes()).map_err(|error| error.to_string())?;
        auxiliary(&members).map_err(|error| error.to_string())
    }

    #[test]
    fn every_part_is_read() {
        let aux = json!({
            "ratings": [{ "scheme": "urn:mpaa", "value": "PG-13" }],
            "output_protection": { "hdcp": "2.2", "compressed_digital_audio": 300 },
            "super_cas_id": "0x4ad40001",
            "system_headers": [{ "uuid": "F239E769-EFA3-4850-9C16-A903C6932EFB", "data": "AQID" }],
        });
        let read = parse(&aux).unwrap().unwrap();
        assert_eq!(read.ratings, [Rating { scheme: "urn:mpaa".into(), value: "PG-13".into() }]);
        assert_eq!(read.output_protection["compressed_digital_audio"], "300");
        assert_eq!(read.super_cas_id, Some(0x4ad4_0001));
        assert_eq!(read.system_headers[0].data, [1, 2, 3]);
        assert_eq!(read.system_headers[0].system[..2], [0xf2, 0x39]);
    }

    #[test]
    fn none_is_none_and_an_empty_object_is_auxiliary_data() {
        assert_eq!(parse(&json!(null)), Ok(None));
        assert_eq!(parse(&json!({})), Ok(Some(Auxiliary::default())));
        assert_eq!(parse(&json!({ "super_cas_id": 7 })).unwrap().unwrap().super_cas_id, Some(7));
    }

    #[test]
    fn what_would_be_lost_is_refused_and_the_part_at_fault_named() {
        for (aux, part) in [
            (json!("PG"), "an object of ratings"),
            (json!({ "rating": [] }), "an object of ratings"),
            (json!({ "ratings": ["PG"] }), "ratings"),
            (json!({ "ratings": [{ "scheme": "a", "value": "b", "age": 7 }] }), "ratings"),
            (json!({ "ratings": vec![json!({ "scheme": "a", "value": "b" }); 9] }), "ratings"),
            (json!({ "output_protection": { "hdcp": [2] } }), "output_protection"),
            (json!({ "super_cas_id": "0x1ffffffff" }), "super_cas_id"),
            (json!({ "super_cas_id": "0x+1" }), "super_cas_id"),
            (json!({ "super_cas_id": -1 }), "super_cas_id"),
            (json!({ "system_headers": [{ "uuid": "f239", "data": "" }] }), "system_headers"),
            (json!({ "ratings": [{ "scheme": "a\n", "value": "b" }] }), "control characters"),
            (json!({ "output_protection": { "x": "y".repeat(1024) } }), "at most 1024 bytes"),
        ] {
            let refused = parse(&aux).unwrap_err();
            assert!(refused.starts_with("custom data aux must be") && refused.contains(part), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn no_object_is_too_odd_to_be_answered(name in "[a-z_]{0,20}", text in "\\PC{0,40}", number: i64) {
            for value in [json!(text), json!(number), json!([text]), json!({ &name: text })] {
                let _answered = parse(&json!({ &name: value }));
            }
        }

        #[test]
        fn output_protection_reads_back(controls in prop::collection::btree_map("[a-z_]{1,12}", "[0-9.]{1,6}", 0..16)) {
            let read = parse(&json!({ "output_protection": controls })).unwrap().unwrap();
            prop_assert_eq!(read.output_protection, controls);
        }
    }
}
