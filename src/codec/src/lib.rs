//! The only encoding of values to bytes and back, on disk and between nodes.
//!
//! Owns the envelope (magic, kind, version, length, CRC-32) and the bincode settings inside it. Invariants:
//! nothing is decoded before its envelope is checked; a value that does not use up exactly its bytes is
//! refused; no length read from outside can make a decoder reserve more than [`BYTES_MAX`]. Table records
//! carry the same envelope as everything else: a second format would cost more than twelve bytes and one CRC
//! per record.
//!
//! This crate does not know what a value means and converts no versions. A crate that keeps an old version
//! readable opens the envelope with [`open`], checks the version and decodes the old shape with
//! [`decode_body`].

mod body;
mod envelope;
mod error;
mod kind;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use body::decode_body;
pub use envelope::{HEADER_BYTES, Opened, kind_of, open};
pub use error::CodecError;
pub use kind::Kind;

/// The longest body that is written or read, in bytes.
pub const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Encodes `value` as a `kind` of the current version, in its envelope.
///
/// # Errors
/// [`CodecError::TooLong`] when the body passes [`BYTES_MAX`], [`CodecError::Encode`] when the
/// value has a shape bincode cannot write (a sequence of unknown length, say).
pub fn encode<T: Serialize + ?Sized>(kind: Kind, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = envelope::begin(kind);
    body::encode_body(kind, value, &mut bytes)?;
    envelope::seal(kind, &mut bytes)?;
    Ok(bytes)
}

/// Puts a body that is encoded already into the envelope of a `kind` of the current version.
///
/// # Errors
/// [`CodecError::TooLong`] when it passes [`BYTES_MAX`].
pub fn enclose(kind: Kind, body: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut bytes = envelope::begin(kind);
    bytes.extend_from_slice(body);
    envelope::seal(kind, &mut bytes)?;
    Ok(bytes)
}

/// Decodes a `kind` of the current version from exactly `bytes`.
///
/// # Errors
/// [`CodecError`] when the envelope or the body is not the expected one. A body of an older accepted version
/// is [`CodecError::OlderVersion`]: the caller knows its shape.
pub fn decode<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, CodecError> {
    let opened = open(kind, bytes)?;
    if opened.version != kind.version() {
        return Err(CodecError::OlderVersion { kind, found: opened.version });
    }
    decode_body(kind, opened.body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Sample {
        Nothing,
        Named { name: String, serial: u64 },
        Many(Vec<(u8, Option<i32>)>),
    }

    fn golden() -> Sample {
        Sample::Named { name: "key".to_owned(), serial: 300 }
    }

    fn samples() -> impl Strategy<Value = Sample> {
        prop_oneof![
            Just(Sample::Nothing),
            (".{0,40}", any::<u64>()).prop_map(|(name, serial)| Sample::Named { name, serial }),
            prop::collection::vec(any::<(u8, Option<i32>)>(), 0..20).prop_map(Sample::Many),
        ]
    }

    /// Asserts the bytes of the golden value: a change here changes the format on disk.
    fn assert_golden(kind: Kind, expected: [u8; 20]) {
        assert_eq!(encode(kind, &golden()).unwrap(), expected);
        assert_eq!(decode::<Sample>(kind, &expected).unwrap(), golden());
    }

    #[test]
    fn a_record_has_these_bytes() {
        assert_golden(
            Kind::Record,
            [75, 77, 1, 1, 8, 0, 0, 0, 114, 2, 29, 184, 1, 3, 107, 101, 121, 251, 44, 1],
        );
    }

    #[test]
    fn an_entry_has_these_bytes() {
        assert_golden(
            Kind::Entry,
            [75, 77, 2, 1, 8, 0, 0, 0, 169, 39, 124, 196, 1, 3, 107, 101, 121, 251, 44, 1],
        );
    }

    #[test]
    fn a_frame_has_these_bytes() {
        assert_golden(
            Kind::Frame,
            [75, 77, 3, 1, 8, 0, 0, 0, 223, 198, 115, 89, 1, 3, 107, 101, 121, 251, 44, 1],
        );
    }

    #[test]
    fn a_snapshot_header_has_these_bytes() {
        assert_golden(
            Kind::SnapshotHeader,
            [75, 77, 4, 1, 8, 0, 0, 0, 31, 108, 190, 60, 1, 3, 107, 101, 121, 251, 44, 1],
        );
    }

    #[test]
    fn a_frame_is_not_read_as_an_entry() {
        let bytes = encode(Kind::Frame, &golden()).unwrap();
        let error = decode::<Sample>(Kind::Entry, &bytes).unwrap_err();
        assert_eq!(error.to_string(), "expected a log entry but byte 2 says kind 3");
    }

    #[test]
    fn a_body_with_bytes_to_spare_names_where_they_begin() {
        let bytes = encode(Kind::Record, &(7_u8, 9_u8)).unwrap();
        let error = decode::<u8>(Kind::Record, &bytes).unwrap_err();
        assert_eq!(error.to_string(), "a table record ends at byte 13 but 1 more follow");
    }

    #[test]
    fn a_body_that_breaks_off_names_where() {
        let bytes = encode(Kind::Record, &(7_u8, 9_u8)).unwrap();
        let error = decode::<(u8, u8, u8)>(Kind::Record, &bytes).unwrap_err();
        assert!(matches!(error, CodecError::Body { at: 14, .. }), "{error:?}");
    }

    #[test]
    fn a_hostile_length_inside_a_body_is_an_error_not_a_panic() {
        // A byte string that claims 2^64-1 bytes, in a valid envelope.
        let mut bytes = envelope::begin(Kind::Frame);
        bytes.extend([253, 255, 255, 255, 255, 255, 255, 255, 255]);
        envelope::seal(Kind::Frame, &mut bytes).unwrap();
        assert!(matches!(decode::<String>(Kind::Frame, &bytes), Err(CodecError::Body { .. })));
        assert!(decode::<Vec<u64>>(Kind::Frame, &bytes).is_err());
    }

    #[test]
    fn a_body_beyond_the_limit_is_not_written() {
        let long = "x".repeat(BYTES_MAX + 1);
        assert!(matches!(encode(Kind::Frame, &long), Err(CodecError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn what_was_encoded_decodes_to_itself(sample in samples()) {
            let bytes = encode(Kind::Entry, &sample).unwrap();
            prop_assert_eq!(decode::<Sample>(Kind::Entry, &bytes).unwrap(), sample);
        }

        #[test]
        fn a_flipped_bit_anywhere_is_noticed(sample in samples(), place: prop::sample::Index, bit in 0_u8..8) {
            let mut bytes = encode(Kind::Entry, &sample).unwrap();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode::<Sample>(Kind::Entry, &bytes).is_err());
        }

        #[test]
        fn neither_a_cut_nor_an_addition_passes(sample in samples(), cut: prop::sample::Index) {
            let mut bytes = encode(Kind::Record, &sample).unwrap();
            prop_assert!(decode::<Sample>(Kind::Record, &bytes[..cut.index(bytes.len())]).is_err());
            bytes.push(0);
            prop_assert!(decode::<Sample>(Kind::Record, &bytes).is_err());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Sample>(Kind::Frame, &bytes);
            let _ = decode_body::<Sample>(Kind::Frame, &bytes);
        }
    }
}
