//! Identifiers: parsed at the edge, so that a value of such a type is always valid.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A node of the cluster. Never reused, even after the node is removed.
pub type NodeId = u64;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("{what} is empty")]
    Empty {
        /// The identifier's name in the API.
        what: &'static str,
    },
    /// The text is longer than the identifier may be.
    #[error("{what} is longer than {max_bytes} bytes")]
    TooLong {
        /// The identifier's name in the API.
        what: &'static str,
        max_bytes: usize,
    },
    /// A character that the identifier cannot hold.
    #[error("{what} holds a character that is not allowed at byte {at}")]
    Character {
        /// The identifier's name in the API.
        what: &'static str,
        /// Byte offset of the first bad character.
        at: usize,
    },
    /// Not sixteen bytes in the expected text form.
    #[error("{what} must be {form} of exactly 16 bytes")]
    Bytes16 {
        /// The identifier's name in the API.
        what: &'static str,
        /// The expected text form.
        form: &'static str,
    },
}

/// Makes a newtype over a validated `String` that parses on the way in from every codec.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The longest text accepted, in bytes.
            pub const BYTES_MAX: usize = $max;

            /// Checks `text` and makes the identifier.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long or holds a character that is not allowed.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if text.is_empty() {
                    return Err(IdError::Empty { what: $what });
                }
                if text.len() > $max {
                    return Err(IdError::TooLong { what: $what, max_bytes: $max });
                }
                let allowed: fn(char) -> bool = $allowed;
                match text.char_indices().find(|(_, c)| !allowed(*c)) {
                    Some((at, _)) => Err(IdError::Character { what: $what, at }),
                    None => Ok(Self(text)),
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

text_id!(
    /// An account of the platform (uDRM 2.3.2 `account_id`): letters, digits, `.`, `_`, `-`.
    AccountId, "account_id", 64,
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
);
text_id!(
    /// A content as the client names it (uDRM 2.3.2 `content_id`): any text without control characters.
    ContentId, "content_id", 512,
    |c| !c.is_control()
);
text_id!(
    /// A track of a content: `SD`, `HD`, `UHD1`, `AUDIO` or any name the client gives; or a sum of tracks that share a key,
    /// such as `SD+HD1`.
    TrackName, "track", 64,
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+')
);

text_id!(
    /// A policy of an account (uDRM 2.4), as requests and people name it: letters, digits, `.`, `_`, `-`.
    PolicyName, "policy name", 64,
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
);

impl ContentId {
    /// The prefix of a name that is not text; its hexadecimal digits follow.
    const HEX: &'static str = "hex:";

    /// The content whose name is these bytes, as protocols with binary names carry it. Bytes that are not
    /// text, or hold control characters, become `hex:` and their digits. Text that reads like such a name
    /// becomes one too, so that no two names collide.
    ///
    /// # Errors
    /// [`IdError`] when there are no bytes, or too many.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdError> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.starts_with(Self::HEX) && !text.contains(char::is_control) => Self::new(text),
            _ => Self::new(format!("{}{}", Self::HEX, base16ct::lower::encode_string(bytes))),
        }
    }

    /// The bytes that [`Self::from_bytes`] made the name from; for any other name, the bytes of its text.
    pub fn to_bytes(&self) -> Vec<u8> {
        let digits = self.0.strip_prefix(Self::HEX);
        digits
            .and_then(|digits| base16ct::lower::decode_vec(digits).ok())
            .filter(|bytes| Self::from_bytes(bytes).as_ref() == Ok(self))
            .unwrap_or_else(|| self.0.as_bytes().to_vec())
    }
}

impl TrackName {
    /// The only track of front ends without tracks, such as uDRM.
    pub fn default_track() -> Self {
        Self("DEFAULT".to_owned())
    }

    /// The track of HLS AES-128 keys, which players receive in the clear. Players get keys of this track
    /// only, so no front end may use its keys for a DRM system.
    pub fn hls_aes_128() -> Self {
        Self("HLS-AES-128".to_owned())
    }

    /// Every track of a content, of whichever name.
    pub fn all() -> Self {
        Self("ALL".to_owned())
    }

    /// Whether it is [`Self::all`].
    pub fn is_all(&self) -> bool {
        self.0 == "ALL"
    }

    /// The sum of tracks that share a key; [`Self::all`] where its name would be too long.
    pub fn sum<'t>(tracks: impl IntoIterator<Item = &'t Self>) -> Self {
        let names: Vec<&str> = tracks.into_iter().map(Self::as_str).collect();
        Self::new(names.join("+")).unwrap_or_else(|_| Self::all())
    }

    /// The tracks of a sum; a track alone is one.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('+').filter(|part| !part.is_empty())
    }
}

text_id!(
    /// A person who operates the cluster: letters, digits, `.`, `_`, `-`, `@`.
    OperatorName, "operator name", 64,
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@')
);

/// A key id: sixteen bytes, written as a lower-case dashed GUID, big-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kid([u8; 16]);

impl Kid {
    /// A key id of these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes, in the order of the text form.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Parses standard padded base64 of exactly sixteen bytes, as the uDRM API carries it.
    ///
    /// # Errors
    /// [`IdError::Bytes16`] for anything else.
    pub fn from_base64(text: &str) -> Result<Self, IdError> {
        let not16 = IdError::Bytes16 { what: "key_id", form: "standard base64" };
        let bytes = STANDARD.decode(text).map_err(|_| not16.clone())?;
        Ok(Self(bytes.try_into().map_err(|_| not16)?))
    }

    /// Parses a key id as any of the APIs and tools writes it: base64, 32 hexadecimal digits, or those with dashes.
    ///
    /// # Errors
    /// [`IdError::Bytes16`] for anything else.
    pub fn from_any_form(text: &str) -> Result<Self, IdError> {
        let digits = text.replace('-', "").to_ascii_lowercase();
        let mut bytes = [0; 16];
        let read = base16ct::lower::decode(&digits, &mut bytes).map(<[u8]>::len);
        let is_guid = text.len() == 36 && text.match_indices('-').map(|(at, _)| at).eq([8, 13, 18, 23]);
        if read == Ok(bytes.len()) && (is_guid || text.len() == 32) {
            return Ok(Self(bytes));
        }
        Self::from_base64(text)
            .map_err(|_| IdError::Bytes16 { what: "key id", form: "base64, hexadecimal digits, or a GUID" })
    }

    /// Standard padded base64.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Thirty-two lower-case hexadecimal digits.
    pub fn to_hex(&self) -> String {
        base16ct::lower::encode_string(&self.0)
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written as one text: formatting 16 bytes one by one is slow, and every answer holds key ids.
        let mut text = [b'-'; 36];
        for (bytes, digits) in self.0.chunks_exact(2).zip(GUID_DIGITS) {
            base16ct::lower::encode(bytes, text.get_mut(digits).unwrap_or_default())?;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Where the digits of each two bytes stand in the text of a GUID.
const GUID_DIGITS: [Range<usize>; 8] = [0..4, 4..8, 9..13, 14..18, 19..23, 24..28, 28..32, 32..36];

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Kid {
    type Err = IdError;

    /// Accepts a GUID with or without dashes, in either case.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let not16 = || IdError::Bytes16 { what: "key_id", form: "hexadecimal" };
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        let mut bytes = [0_u8; 16];
        match base16ct::mixed::decode(digits, &mut bytes) {
            Ok(decoded) if decoded.len() == 16 => Ok(Self(bytes)),
            _ => Err(not16()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_reads_back_from_each_of_its_texts() {
        let kid = Kid::from_bytes(*b"0123456789abcdef");
        assert_eq!(kid.to_string(), "30313233-3435-3637-3839-616263646566");
        assert_eq!(kid.to_string().parse(), Ok(kid));
        assert_eq!(kid.to_hex().to_uppercase().parse(), Ok(kid));
        assert_eq!(Kid::from_base64(&kid.to_base64()), Ok(kid));
    }

    proptest::proptest! {
        #[test]
        fn binary_content_names_read_back_and_never_meet(one: Vec<u8>, other in proptest::collection::vec(0_u8..128, 1..20)) {
            for bytes in [&one, &other, &[b"hex:".as_slice(), &one].concat()] {
                match ContentId::from_bytes(bytes) {
                    Ok(id) => assert_eq!(id.to_bytes(), *bytes),
                    Err(error) => assert!(bytes.is_empty() || bytes.len() > 250, "{error}"),
                }
            }
        }

        #[test]
        fn the_bytes_of_a_text_name_are_its_text(text in "[a-g0-9][a-zA-Z0-9:. ]{0,30}") {
            assert_eq!(ContentId::new(text.as_str()).unwrap().to_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn a_name_that_only_looks_like_hex_stands_for_its_text() {
        for text in ["hex:", "hex:0", "hex:zz", "hex:41", "hex:+1"] {
            assert_eq!(ContentId::new(text).unwrap().to_bytes(), text.as_bytes());
        }
        assert_eq!(ContentId::from_bytes(b"\x00\xff").unwrap().as_str(), "hex:00ff");
    }

    #[test]
    fn a_kid_of_another_length_is_refused() {
        assert!(Kid::from_base64("AAAA").is_err());
        assert!(Kid::from_base64("").is_err());
        assert!("3031".parse::<Kid>().is_err());
        assert!("+0313233-3435-3637-3839-616263646566".parse::<Kid>().is_err());
    }

    #[test]
    fn identifiers_name_what_is_wrong() {
        assert_eq!(AccountId::new("").unwrap_err().to_string(), "account_id is empty");
        assert_eq!(
            AccountId::new("a b").unwrap_err().to_string(),
            "account_id holds a character that is not allowed at byte 1"
        );
        assert!(ContentId::new("x".repeat(513)).is_err());
        assert!(ContentId::new("café film.ism").is_ok());
        assert!(ContentId::new("a\0b").is_err());
    }
}
