//! Base64 as clients write it: in either alphabet, padded or not, in one line or wrapped into several.
//!
//! Each text stands for the same bytes in all of these forms, so nothing becomes ambiguous. What no encoder
//! writes is refused: both alphabets in one text, padding in the wrong place, bits behind the last byte.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Takes the padding or its absence.
const UNPADDED_TOO: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The text is no base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no base64, neither in the standard alphabet nor in the one for URLs")]
pub struct NotBase64;

/// The bytes that the text stands for.
///
/// # Errors
/// [`NotBase64`] for a text that no encoder writes.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotBase64> {
    let text = text.as_ref();
    if let Ok(bytes) = STANDARD.decode(text) {
        return Ok(bytes);
    }
    let mut plain: Vec<u8> = text.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
    let has = |wanted: &[u8]| plain.iter().any(|byte| wanted.contains(byte));
    if has(b"+/") && has(b"-_") {
        return Err(NotBase64);
    }
    for byte in &mut plain {
        *byte = match *byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
    }
    UNPADDED_TOO.decode(plain).map_err(|_| NotBase64)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for text in ["e_-=", "e30==", "e30=x", "e31", "e30 ", " e30=", "_/AA", "+-AA", "e3\t0", "é", "=", "e"]
        {
            assert_eq!(decode(text), Err(NotBase64), "{text:?}");
        }
        assert_eq!(decode(""), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn every_form_stands_for_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 1_usize..77) {
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                let text = engine.encode(&bytes);
                prop_assert_eq!(decode(&text), Ok(bytes.clone()));
                for end in ["\n", "\r\n"] {
                    let lines: Vec<&[u8]> = text.as_bytes().chunks(at).collect();
                    prop_assert_eq!(decode(lines.join(end.as_bytes())), Ok(bytes.clone()));
                }
            }
        }
    }
}
