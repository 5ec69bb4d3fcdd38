//! A content key in the clear: sixteen bytes that exist only while a request needs them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use super::random::{RandomError, fill};

/// The text is not a content key. The error never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("key must be standard base64 of exactly 16 bytes")]
pub struct ContentKeyError;

/// A content key, zeroized on drop. It lives on the heap, so that moving it leaves no copy behind.
pub struct ContentKey(Box<[u8; 16]>);

impl ContentKey {
    /// Draws a key from the operating system's randomness.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system's source fails; there is no fallback.
    pub fn generate() -> Result<Self, RandomError> {
        let mut key = Self(Box::new([0; 16]));
        fill(key.0.as_mut_slice())?;
        Ok(key)
    }

    /// Parses standard padded base64 of exactly sixteen bytes, as the uDRM API carries it.
    ///
    /// # Errors
    /// [`ContentKeyError`] for anything else.
    pub fn from_base64(text: &str) -> Result<Self, ContentKeyError> {
        // Twenty-four digits are 16 to 18 bytes; anything longer cannot be a key.
        if text.len() != 24 {
            return Err(ContentKeyError);
        }
        let mut decoded = Zeroizing::new([0_u8; 18]);
        let length = STANDARD.decode_slice(text, decoded.as_mut_slice()).map_err(|_| ContentKeyError)?;
        Self::from_slice(decoded.get(..length).unwrap_or_default()).ok_or(ContentKeyError)
    }

    /// Copies a key; the caller zeroizes its own copy.
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let mut key = Self(Box::new([0; 16]));
        key.0.copy_from_slice(bytes);
        key
    }

    /// Whether two keys are equal, compared in constant time.
    pub fn same_as(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }

    /// Copies exactly sixteen bytes; the caller zeroizes its own copy.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Box::new([0; 16]));
        if bytes.len() != key.0.len() {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// The plaintext key. Do not copy it into anything that is not zeroized.
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// Standard padded base64, for the answer of the encryption endpoint.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Thirty-two lower-case hexadecimal digits, made in constant time.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(base16ct::lower::encode_string(self.0.as_slice()))
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContentKey(redacted)")
    }
}

impl Drop for ContentKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_its_base64() {
        let key = ContentKey::from_base64("MDEyMzQ1Njc4OWFiY2RlZg==").unwrap();
        assert_eq!(key.expose(), b"0123456789abcdef");
        assert_eq!(*key.to_base64(), "MDEyMzQ1Njc4OWFiY2RlZg==");
    }

    #[test]
    fn only_sixteen_bytes_of_padded_standard_base64_are_a_key() {
        for text in [
            "",
            "AAAA",
            "MDEyMzQ1Njc4OWFiY2RlZg",     // no padding
            "MDEyMzQ1Njc4OWFiY2RlZmc=",   // 17 bytes
            "MDEyMzQ1Njc4OWFiY2RlZmdo",   // 18 bytes
            "MDEyMzQ1Njc4OWFiY2Rl",       // 15 bytes
            "____NDU2Nzg5YWJjZGVmAA==",   // URL-safe alphabet
            "MDEyMzQ1Njc4OWFiY2RlZh==",   // stray bits after the last byte
            "MDEyMzQ1Njc4OWFiY2RlZg==\n", // trailing line end
        ] {
            assert!(ContentKey::from_base64(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn generated_keys_differ_and_debug_hides_them() {
        let (a, b) = (ContentKey::generate().unwrap(), ContentKey::generate().unwrap());
        assert_ne!(a.expose(), b.expose());
        assert_eq!(format!("{a:?}"), "ContentKey(redacted)");
    }
}
