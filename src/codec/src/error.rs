//! Errors of writing and reading values.

use super::Kind;

/// Why a value could not be written or read. Holds what was expected and at which offset it was not found;
/// never a byte of the value.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value has a shape that cannot be written.
    #[error("a {kind} cannot be encoded")]
    Encode {
        kind: Kind,
        #[source]
        source: bincode::error::EncodeError,
    },
    /// The value exceeds the longest body that is written or read.
    #[error("a {kind} of {bytes} bytes is longer than the limit of {bytes_max}")]
    TooLong {
        /// The kind being written or read.
        kind: Kind,
        bytes: usize,
        bytes_max: usize,
    },
    /// The bytes end before the envelope does.
    #[error("expected a {kind} of at least {needed} bytes but there are {present}")]
    Short {
        kind: Kind,
        /// The length of an envelope.
        needed: usize,
        present: usize,
    },
    /// The bytes are not an envelope.
    #[error("expected a {kind} but bytes 0 and 1 are not the mark of one")]
    Magic { kind: Kind },
    /// The envelope holds something else.
    #[error("expected a {kind} but byte 2 says kind {found}")]
    OtherKind {
        kind: Kind,
        /// The number of the kind found.
        found: u8,
    },
    /// A version this build cannot read.
    #[error("byte 3 says version {found} of a {kind}, which this build does not know; run a newer one")]
    UnknownVersion { kind: Kind, found: u8 },
    /// An older version that this build knows, where only the current one is expected.
    #[error("byte 3 says version {found} of a {kind}, which this reader does not convert")]
    OlderVersion { kind: Kind, found: u8 },
    /// The length at byte 4 does not agree with the bytes.
    #[error("byte 4 says a {kind} of {declared} bytes but {present} are there")]
    Length {
        kind: Kind,
        /// The length in the envelope.
        declared: usize,
        present: usize,
    },
    /// The bytes were changed after they were written.
    #[error("the checksum at byte 8 of a {kind} does not agree with its {bytes} bytes")]
    Checksum {
        kind: Kind,
        /// The bytes that the checksum covers, without the envelope.
        bytes: usize,
    },
    /// The body does not hold the expected value.
    #[error("a {kind} does not hold the expected value at byte {at}")]
    Body {
        kind: Kind,
        /// Offset of the fault, envelope included.
        at: usize,
        #[source]
        source: bincode::error::DecodeError,
    },
    /// The body holds more than the expected value.
    #[error("a {kind} ends at byte {at} but {left} more follow")]
    Trailing {
        kind: Kind,
        /// Offset of the value's end, envelope included.
        at: usize,
        /// The bytes left over.
        left: usize,
    },
}
