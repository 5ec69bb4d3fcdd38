//! Why bytes are not what they should be.

use super::Kind;

/// Why a value could not be written or read. Names what was expected and where it was missed;
/// never holds a byte of the value.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value has a shape that cannot be written.
    #[error("a {kind} cannot be encoded")]
    Encode {
        /// What was being written.
        kind: Kind,
        /// What bincode says.
        #[source]
        source: bincode::error::EncodeError,
    },
    /// The value is longer than may be written or read.
    #[error("a {kind} of {bytes} bytes is longer than the limit of {bytes_max}")]
    TooLong {
        /// What was being written or read.
        kind: Kind,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The bytes end before the envelope does.
    #[error("expected a {kind} of at least {needed} bytes but there are {present}")]
    Short {
        /// What was expected.
        kind: Kind,
        /// How many bytes an envelope needs.
        needed: usize,
        /// How many there are.
        present: usize,
    },
    /// The bytes are no envelope at all.
    #[error("expected a {kind} but bytes 0 and 1 are not the mark of one")]
    Magic {
        /// What was expected.
        kind: Kind,
    },
    /// The envelope holds something else.
    #[error("expected a {kind} but byte 2 says kind {found}")]
    OtherKind {
        /// What was expected.
        kind: Kind,
        /// The number of the kind found.
        found: u8,
    },
    /// A version this build cannot read.
    #[error("byte 3 says version {found} of a {kind}, which this build does not know; run a newer one")]
    UnknownVersion {
        /// What was expected.
        kind: Kind,
        /// The version found.
        found: u8,
    },
    /// A version this build knows, met where only the current one is expected.
    #[error("byte 3 says version {found} of a {kind}, which this reader does not convert")]
    OlderVersion {
        /// What was expected.
        kind: Kind,
        /// The version found.
        found: u8,
    },
    /// The length at byte 4 does not agree with the bytes.
    #[error("byte 4 says a {kind} of {declared} bytes but {present} are there")]
    Length {
        /// What was expected.
        kind: Kind,
        /// What the envelope says.
        declared: usize,
        /// What is there.
        present: usize,
    },
    /// The bytes were changed after they were written.
    #[error("the checksum at byte 8 of a {kind} does not agree with its {bytes} bytes")]
    Checksum {
        /// What was expected.
        kind: Kind,
        /// How many bytes it covers, without the envelope.
        bytes: usize,
    },
    /// The body does not hold the expected value.
    #[error("a {kind} does not hold the expected value at byte {at}")]
    Body {
        /// What was expected.
        kind: Kind,
        /// How many bytes had been read, envelope included.
        at: usize,
        /// What bincode says.
        #[source]
        source: bincode::error::DecodeError,
    },
    /// The body holds more than the expected value.
    #[error("a {kind} ends at byte {at} but {left} more follow")]
    Trailing {
        /// What was expected.
        kind: Kind,
        /// Where the value ended, envelope included.
        at: usize,
        /// How many bytes were left.
        left: usize,
    },
}
