//! The query string of a uDRM request, read strictly where it is signed.
//!
//! Names match without regard to case, percent escapes may be in either case or absent, and base64 may be
//! unpadded, in the alphabet for URLs, or wrapped. A form encoder turns `+` into a space, so a space in base64 can only have been a `+`. A parameter that
//! decides something is read once or refused; parameters nobody here knows pass unread, because
//! players append their own.

use std::borrow::Cow;

use bytes::Bytes;

use super::{CustomData, Signature, SignatureError};
use keymoot_model::loose_base64;

/// The longest query string read, in bytes: the largest custom data in base64 with room for escapes.
pub const QUERY_BYTES_MAX: usize = 32 * 1024;

/// How many parameters a query string may have.
pub const PARAMETERS_MAX: usize = 64;

// Custom data of full length fits in, in base64 of which a sixth is escaped.
const _: () = assert!(QUERY_BYTES_MAX >= CustomData::BYTES_MAX.div_ceil(3) * 4 * 4 / 3);

/// Why a query string is refused. The message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// More bytes than any client needs.
    #[error("the query string is longer than {QUERY_BYTES_MAX} bytes")]
    TooLong,
    /// More parameters than any client needs.
    #[error("the query string has more than {PARAMETERS_MAX} parameters")]
    TooMany,
    /// A parameter that may be given once.
    #[error("parameter {name} is given more than once")]
    Repeated { name: &'static str },
    /// A `%` that two hexadecimal digits do not follow.
    #[error("parameter {name} has a percent sign without two hexadecimal digits behind it")]
    Escape {
        /// The parameter's name, or `name` when the escape is in the name itself.
        name: &'static str,
    },
    /// A value that is not UTF-8.
    #[error("parameter {name} must be text in UTF-8")]
    Text { name: &'static str },
    /// `custom_data` without a value.
    #[error("parameter custom_data is empty")]
    EmptyCustomData,
    /// `custom_data` is not base64.
    #[error("parameter custom_data must be base64 of the custom data's JSON text")]
    CustomDataForm,
    /// `custom_data` holds more bytes than custom data may have.
    #[error("parameter custom_data holds more than {} bytes", CustomData::BYTES_MAX)]
    CustomDataTooLong,
    /// `signature` is not a signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// What a query string says to the uDRM endpoints.
#[derive(Debug, Default)]
pub struct Query {
    /// The signature, if one is given.
    pub signature: Option<Signature>,
    /// The decoded bytes of `custom_data`, exactly as signed, if they are given.
    pub custom_data: Option<Bytes>,
    /// `aux=1`: the answer shall carry the content's auxiliary data.
    pub auxiliary: Option<bool>,
    /// Each `files` parameter, a comma list. Only license requests have them.
    pub files: Vec<String>,
}

impl Query {
    /// Reads a query string as received, without its `?`.
    ///
    /// # Errors
    /// [`QueryError`] names the parameter at fault.
    pub fn parse(raw: &str) -> Result<Self, QueryError> {
        if raw.len() > QUERY_BYTES_MAX {
            return Err(QueryError::TooLong);
        }
        let mut query = Self::default();
        for (index, parameter) in raw.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
            if index >= PARAMETERS_MAX {
                return Err(QueryError::TooMany);
            }
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            query.take(&unescape("name", name)?, value)?;
        }
        Ok(query)
    }

    fn take(&mut self, name: &[u8], value: &str) -> Result<(), QueryError> {
        if name.eq_ignore_ascii_case(b"signature") {
            if self.signature.is_some() {
                return Err(QueryError::Repeated { name: "signature" });
            }
            self.signature = Some(Signature::parse(base64_text("signature", value)?)?);
        } else if name.eq_ignore_ascii_case(b"custom_data") {
            if self.custom_data.is_some() {
                return Err(QueryError::Repeated { name: "custom_data" });
            }
            self.custom_data = Some(custom_data(&base64_text("custom_data", value)?)?);
        } else if name.eq_ignore_ascii_case(b"aux") {
            if self.auxiliary.is_some() {
                return Err(QueryError::Repeated { name: "aux" });
            }
            self.auxiliary = Some(value == "1" || value.eq_ignore_ascii_case("true"));
        } else if name.eq_ignore_ascii_case(b"files") {
            // It decides nothing, so what is no text is only a file that nobody has.
            self.files.push(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned());
        }
        Ok(())
    }
}

/// The text of the one parameter of this name, in whatever case; for parameters of single endpoints.
///
/// # Errors
/// [`QueryError`] when it is given twice, or is no text.
pub fn parameter(raw: &str, wanted: &'static str) -> Result<Option<String>, QueryError> {
    let mut found = None;
    for parameter in raw.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !unescape("name", name)?.eq_ignore_ascii_case(wanted.as_bytes()) {
            continue;
        }
        if found.is_some() {
            return Err(QueryError::Repeated { name: wanted });
        }
        let text = String::from_utf8(unescape(wanted, value)?.into_owned());
        found = Some(text.map_err(|_| QueryError::Text { name: wanted })?);
    }
    Ok(found)
}

fn custom_data(text: &[u8]) -> Result<Bytes, QueryError> {
    if text.is_empty() {
        return Err(QueryError::EmptyCustomData);
    }
    let bytes = loose_base64::decode(text).map_err(|_| QueryError::CustomDataForm)?;
    if bytes.len() > CustomData::BYTES_MAX {
        return Err(QueryError::CustomDataTooLong);
    }
    Ok(Bytes::from(bytes))
}

/// A value that is base64: without its escapes, and with each space the `+` it was.
fn base64_text<'t>(name: &'static str, value: &'t str) -> Result<Cow<'t, [u8]>, QueryError> {
    let mut text = unescape(name, value)?;
    if text.contains(&b' ') {
        for space in text.to_mut().iter_mut().filter(|byte| **byte == b' ') {
            *space = b'+';
        }
    }
    Ok(text)
}

/// The bytes that percent escapes stand for, without a copy where there are none. The decoding itself would
/// let a broken escape stand as it is, and two readers could then disagree; so it is refused first.
fn unescape<'t>(name: &'static str, text: &'t str) -> Result<Cow<'t, [u8]>, QueryError> {
    if escapes_are_whole(text) {
        Ok(percent_encoding::percent_decode_str(text).into())
    } else {
        Err(QueryError::Escape { name })
    }
}

/// Whether each `%` stands before two hexadecimal digits.
pub fn escapes_are_whole(text: &str) -> bool {
    text.as_bytes().split(|byte| *byte == b'%').skip(1).all(
        |behind| matches!(behind, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()),
    )
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    const SIGNATURE: &str = "h405UlVg8QQxG/HGOJlJs4EY3T0=";

    fn signature_of(raw: &str) -> String {
        Query::parse(raw).unwrap().signature.unwrap().to_base64()
    }

    fn refusal(raw: &str) -> QueryError {
        Query::parse(raw).unwrap_err()
    }

    #[test]
    fn a_signature_is_the_same_however_it_is_escaped() {
        for raw in [
            "signature=h405UlVg8QQxG/HGOJlJs4EY3T0=",
            "signature=h405UlVg8QQxG%2FHGOJlJs4EY3T0%3D",
            "SIGNATURE=h405UlVg8QQxG%2fHGOJlJs4EY3T0%3d&",
            "&&sessionId=1&sign%61ture=h405UlVg8QQxG%2fHGOJlJs4EY3T0=&referrer=%%%",
        ] {
            assert_eq!(signature_of(raw), SIGNATURE, "{raw}");
        }
    }

    #[test]
    fn a_space_was_a_plus() {
        let plus = "HJMjfjkDjPo51Z2xNSl2EH+NDH8=";
        assert_eq!(signature_of(&format!("signature={plus}")), plus);
        assert_eq!(signature_of("signature=HJMjfjkDjPo51Z2xNSl2EH%20NDH8="), plus);
        assert_eq!(signature_of("signature=HJMjfjkDjPo51Z2xNSl2EH NDH8="), plus);
        assert_eq!(signature_of("signature=HJMjfjkDjPo51Z2xNSl2EH%2BNDH8="), plus);
    }

    #[test]
    fn custom_data_arrives_as_the_bytes_that_were_signed() {
        let query = Query::parse("Custom_Data=eyJhIjogMX0%3D&files=x").unwrap();
        assert_eq!(query.custom_data.as_deref(), Some(&br#"{"a": 1}"#[..]));
        assert!(query.signature.is_none());
    }

    #[test]
    fn base64_may_be_unpadded_wrapped_or_in_the_alphabet_for_urls() {
        let plain = Query::parse(&format!("custom_data=eyJhIjoifn5-In0%3D&signature={SIGNATURE}"));
        assert_eq!(plain.unwrap().custom_data.as_deref(), Some(&br#"{"a":"~~~"}"#[..]));
        for text in ["eyJhIjogMX0", "eyJh%0D%0AIjogMX0=", "eyJh%0aIjogMX0"] {
            let query = Query::parse(&format!("custom_data={text}")).unwrap();
            assert_eq!(query.custom_data.as_deref(), Some(&br#"{"a": 1}"#[..]), "{text}");
        }
        for text in [
            "h405UlVg8QQxG_HGOJlJs4EY3T0",
            "h405UlVg8QQxG/HGOJlJs4EY3T0",
            "h405UlVg8QQxG%2FHGOJ%0AlJs4EY3T0=",
        ] {
            assert_eq!(signature_of(&format!("signature={text}")), SIGNATURE, "{text}");
        }
    }

    #[test]
    fn auxiliary_data_is_asked_for_with_1_or_true() {
        let asked = |raw| Query::parse(raw).unwrap().auxiliary;
        assert_eq!(asked("AUX=1"), Some(true));
        assert_eq!(asked("aux=True&"), Some(true));
        assert_eq!(asked("aux=0"), Some(false));
        assert_eq!(asked("auxiliary=1"), None);
        assert_eq!(refusal("aux=1&Aux=0"), QueryError::Repeated { name: "aux" });
    }

    #[test]
    fn a_parameter_that_decides_something_may_be_given_once() {
        let repeated = format!("signature={SIGNATURE}&Signature={SIGNATURE}");
        assert_eq!(refusal(&repeated), QueryError::Repeated { name: "signature" });
        let repeated = "custom_data=e30=&x=1&CUSTOM%5FDATA=e30=";
        assert_eq!(refusal(repeated), QueryError::Repeated { name: "custom_data" });
        assert!(Query::parse("files=a&files=b").is_ok());
    }

    #[test]
    fn broken_escapes_and_broken_base64_are_named() {
        assert_eq!(refusal("custom_data=%zz"), QueryError::Escape { name: "custom_data" });
        assert_eq!(refusal("custom_data=e30%3"), QueryError::Escape { name: "custom_data" });
        assert_eq!(refusal("signature=%+1"), QueryError::Escape { name: "signature" });
        assert_eq!(refusal("custom%5_data=e30="), QueryError::Escape { name: "name" });
        assert_eq!(refusal("custom_data="), QueryError::EmptyCustomData);
        assert_eq!(refusal("custom_data"), QueryError::EmptyCustomData);
        for text in ["e31", "e_-=", "e30=x", "%FF%FE", "e30==", "_/AA", "e3%090"] {
            assert_eq!(refusal(&format!("custom_data={text}")), QueryError::CustomDataForm, "{text}");
        }
        assert_eq!(refusal("signature=AAAA"), SignatureError::Form.into());
        assert_eq!(refusal("signature"), SignatureError::Form.into());
    }

    #[test]
    fn everything_is_bounded() {
        assert_eq!(refusal(&"x".repeat(QUERY_BYTES_MAX + 1)), QueryError::TooLong);
        assert_eq!(refusal(&"x&".repeat(PARAMETERS_MAX + 1)), QueryError::TooMany);
        assert!(Query::parse(&"x&".repeat(PARAMETERS_MAX)).is_ok());
        let long = STANDARD.encode(vec![b' '; CustomData::BYTES_MAX + 1]);
        assert_eq!(refusal(&format!("custom_data={long}")), QueryError::CustomDataTooLong);
        let longest = STANDARD.encode(vec![b' '; CustomData::BYTES_MAX]);
        assert!(Query::parse(&format!("custom_data={longest}")).is_ok());
    }

    #[test]
    fn a_parameter_of_an_endpoint_is_read_once_and_as_text() {
        let one = |raw| parameter(raw, "key_uri");
        assert_eq!(one("a=b&KEY%5Furi=http%3A//k/%7Bkid%7D%3Fa%3Db&"), Ok(Some("http://k/{kid}?a=b".into())));
        assert_eq!(one("key_uris=a"), Ok(None));
        assert_eq!(one("key_uri=a&Key_Uri=b"), Err(QueryError::Repeated { name: "key_uri" }));
        assert_eq!(one("key_uri=%ff"), Err(QueryError::Text { name: "key_uri" }));
        assert_eq!(one("key_uri=%f"), Err(QueryError::Escape { name: "key_uri" }));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_from_any_escaping(data in prop::collection::vec(any::<u8>(), 1..200), raw: bool) {
            let text = STANDARD.encode(&data);
            let escaped = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            let query = format!("custom_data={}&", if raw { text } else { escaped });
            prop_assert_eq!(Query::parse(&query).unwrap().custom_data.unwrap(), data);
        }

        #[test]
        fn no_text_is_too_odd_to_be_answered(raw in "([a-z_%=&+ ]|signature=|custom_data=|\\PC){0,40}") {
            let _answered = Query::parse(&raw).is_ok();
        }
    }
}
