//! The key URI of an HLS playlist, as an operator writes it down.

use super::Kid;

/// The placeholder for the key id in a key URI.
const KID: &str = "{kid}";

/// Why a text is not a key URI. The message may be shown to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyUriError {
    /// Empty, or longer than a playlist's reader accepts.
    #[error("a key URI must have 1 to {} bytes", KeyUri::BYTES_MAX)]
    Length,
    /// A character that would end the attribute or the line in the playlist.
    #[error("a key URI must be of visible ASCII characters without the quotation mark; escape others with %")]
    Character,
}

/// Where players get the key: a URI, absolute or relative to the playlist. `{kid}` in it stands for
/// the key id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUri(String);

impl KeyUri {
    /// The longest text accepted, in bytes. FFmpeg reads lines of 4096.
    pub const BYTES_MAX: usize = 3072;

    /// Checks a text.
    ///
    /// # Errors
    /// [`KeyUriError`] when the text has a bad length or holds a forbidden character.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyUriError> {
        let text = text.into();
        if text.is_empty() || text.len() > Self::BYTES_MAX {
            return Err(KeyUriError::Length);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
            return Err(KeyUriError::Character);
        }
        Ok(Self(text))
    }

    /// Whether each key gets a URI of its own, which players need when keys change.
    pub fn has_kid_placeholder(&self) -> bool {
        self.0.contains(KID)
    }

    /// The URI of a key: each placeholder replaced by the key id as a GUID.
    pub fn of(&self, kid: &Kid) -> String {
        self.0.replace(KID, &kid.to_string())
    }
}

impl std::str::FromStr for KeyUri {
    type Err = KeyUriError;

    fn from_str(text: &str) -> Result<Self, KeyUriError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_id_stands_in_each_place_for_it() {
        let kid = Kid::from_bytes(*b"0123456789abcdef");
        let of = |text: &str| KeyUri::new(text).unwrap().of(&kid);
        assert_eq!(of("https://k/{kid}?a={kid}").matches("30313233-3435-3637-3839-616263646566").count(), 2);
        assert_eq!(of("film.key"), "film.key");
        assert!(
            KeyUri::new("{kid}").unwrap().has_kid_placeholder()
                && !KeyUri::new("kid").unwrap().has_kid_placeholder()
        );
    }

    #[test]
    fn nothing_leaves_the_attribute_it_is_written_into() {
        for text in ["a\"b", "a\nb", "a b", "é", "a\0"] {
            assert_eq!(KeyUri::new(text), Err(KeyUriError::Character), "{text:?}");
        }
        assert_eq!(KeyUri::new(""), Err(KeyUriError::Length));
        assert_eq!(KeyUri::new("a".repeat(KeyUri::BYTES_MAX + 1)), Err(KeyUriError::Length));
    }
}
