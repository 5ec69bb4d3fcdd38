//! bincode inside the envelope: its settings, and a reader that tracks its position.

use bincode::de::read::Reader;
use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BYTES_MAX, CodecError, HEADER_BYTES, Kind};

/// Little-endian, variable-length integers, and a limit: without it the decoder would reserve a hostile
/// length and panic.
const SETTINGS: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<BYTES_MAX>,
> = bincode::config::standard().with_limit::<BYTES_MAX>();

/// Appends the encoding of `value` to `bytes`.
pub(super) fn encode_body<T: Serialize + ?Sized>(
    kind: Kind,
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), CodecError> {
    bincode::serde::encode_into_std_write(value, bytes, SETTINGS)
        .map(|_written| ())
        .map_err(|source| CodecError::Encode { kind, source })
}

/// Decodes a value that takes up all of `body`. Offsets in errors count the envelope before it.
///
/// # Errors
/// [`CodecError::Body`] when the bytes do not hold such a value, [`CodecError::Trailing`] when bytes are left
/// over.
pub fn decode_body<T: DeserializeOwned>(kind: Kind, body: &[u8]) -> Result<T, CodecError> {
    let mut counted = Counted { body, at: 0 };
    let value = bincode::serde::decode_from_reader(&mut counted, SETTINGS);
    let at = HEADER_BYTES + counted.at;
    let left = body.len().saturating_sub(counted.at);
    match value {
        Err(source) => Err(CodecError::Body { kind, at, source }),
        Ok(_) if left > 0 => Err(CodecError::Trailing { kind, at, left }),
        Ok(value) => Ok(value),
    }
}

/// A slice with a position; bincode's own reader does not report one.
struct Counted<'a> {
    body: &'a [u8],
    at: usize,
}

impl Counted<'_> {
    fn ahead(&self, bytes: usize) -> Option<&[u8]> {
        self.body.get(self.at..self.at.checked_add(bytes)?)
    }
}

impl Reader for Counted<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), DecodeError> {
        let Some(ahead) = self.ahead(bytes.len()) else {
            let missing = bytes.len().saturating_sub(self.body.len().saturating_sub(self.at));
            return Err(DecodeError::UnexpectedEnd { additional: missing });
        };
        bytes.copy_from_slice(ahead);
        self.at += bytes.len();
        Ok(())
    }

    fn peek_read(&mut self, bytes: usize) -> Option<&[u8]> {
        self.ahead(bytes)
    }

    fn consume(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes).min(self.body.len());
    }
}
