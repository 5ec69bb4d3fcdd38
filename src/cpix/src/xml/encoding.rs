//! From bytes to text: UTF-8 with or without a byte order mark, and UTF-16.

use std::borrow::Cow;

use crate::fault::{Fault, FaultKind};

/// The text of a document.
///
/// Bytes decide, not what the document says of itself: there are encryptors that write `utf-16` into documents that
/// they send as UTF-8. Only where the bytes could be several encodings, the declaration is asked; see
/// [`refuse_foreign`].
pub(super) fn text(bytes: &[u8]) -> Result<Cow<'_, str>, Fault> {
    match bytes {
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0, b'<', ..] => utf16(bytes, u16::from_be_bytes),
        [b'<', 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

/// Refuses what a document declares of itself when its bytes, read as UTF-8, could mean something else by it.
pub(super) fn refuse_foreign(declared: &[u8], text: &str) -> Result<(), Fault> {
    let declared = String::from_utf8_lossy(declared).to_ascii_lowercase();
    if text.is_ascii()
        || declared.starts_with("utf-8")
        || declared.starts_with("utf-16")
        || declared == "utf8"
    {
        return Ok(());
    }
    Err(FaultKind::Encoding { declared: declared.chars().take(40).collect() }.into())
}

fn utf8(bytes: &[u8]) -> Result<Cow<'_, str>, Fault> {
    std::str::from_utf8(bytes)
        .map(Cow::Borrowed)
        .map_err(|error| FaultKind::NotText { at: error.valid_up_to() }.into())
}

fn utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Result<Cow<'_, str>, Fault> {
    let (units, odd) = bytes.as_chunks::<2>();
    let text: Result<String, _> = char::decode_utf16(units.iter().map(|pair| unit(*pair))).collect();
    match text {
        Ok(text) if odd.is_empty() => Ok(Cow::Owned(text)),
        _ => Err(FaultKind::NotText { at: bytes.len() }.into()),
    }
}
