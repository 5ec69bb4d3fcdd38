//! The twelve bytes before every body: `KM`, kind, version, length and CRC-32, little-endian.
//!
//! The checksum covers kind, version and length as well as the body, so that a flipped bit in
//! the envelope cannot turn one kind or version into another.

use super::{BYTES_MAX, CodecError, Kind};

/// The length of the envelope before a body, in bytes.
pub const HEADER_BYTES: usize = 12;

const MAGIC: [u8; 2] = *b"KM";

/// A body whose envelope was checked.
#[derive(Clone, Copy, Debug)]
pub struct Opened<'a> {
    /// The version it was written in, one of those that are accepted of its kind.
    pub version: u8,
    /// The encoded value.
    pub body: &'a [u8],
}

/// The envelope of the current version of `kind`, with length and checksum still to be filled in.
pub(super) fn begin(kind: Kind) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend(MAGIC);
    bytes.extend([kind.number(), kind.version()]);
    bytes.resize(HEADER_BYTES, 0);
    bytes
}

/// Fills in the length and checksum of an envelope from [`begin`] once its body follows it.
pub(super) fn seal(kind: Kind, bytes: &mut [u8]) -> Result<(), CodecError> {
    let present = bytes.len();
    let Some((head, body)) = bytes.split_first_chunk_mut::<HEADER_BYTES>() else {
        return Err(CodecError::Short { kind, needed: HEADER_BYTES, present });
    };
    let too_long = CodecError::TooLong { kind, bytes: body.len(), bytes_max: BYTES_MAX };
    if body.len() > BYTES_MAX {
        return Err(too_long);
    }
    let length = u32::try_from(body.len()).map_err(|_| too_long)?.to_le_bytes();
    let [_, _, number, version, rest @ ..] = head;
    let sum = checksum(*number, *version, length, body).to_le_bytes();
    rest.copy_from_slice([length, sum].as_flattened());
    Ok(())
}

/// Checks the envelope of `bytes`, which must hold one `kind` and nothing else.
///
/// # Errors
/// [`CodecError`] for anything but an intact envelope of an accepted version.
pub fn open(kind: Kind, bytes: &[u8]) -> Result<Opened<'_>, CodecError> {
    let Some((head, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(CodecError::Short { kind, needed: HEADER_BYTES, present: bytes.len() });
    };
    let &[m0, m1, number, version, l0, l1, l2, l3, s0, s1, s2, s3] = head;
    if [m0, m1] != MAGIC {
        return Err(CodecError::Magic { kind });
    }
    if number != kind.number() {
        return Err(CodecError::OtherKind { kind, found: number });
    }
    if !kind.versions_accepted().contains(&version) {
        return Err(CodecError::UnknownVersion { kind, found: version });
    }
    let length = [l0, l1, l2, l3];
    let declared = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if declared > BYTES_MAX {
        return Err(CodecError::TooLong { kind, bytes: declared, bytes_max: BYTES_MAX });
    }
    if declared != body.len() {
        return Err(CodecError::Length { kind, declared, present: body.len() });
    }
    if checksum(number, version, length, body) != u32::from_le_bytes([s0, s1, s2, s3]) {
        return Err(CodecError::Checksum { kind, bytes: body.len() });
    }
    Ok(Opened { version, body })
}

/// The kind that an envelope declares; nothing else is checked. `None` if the bytes do not start like an
/// envelope.
pub fn kind_of(bytes: &[u8]) -> Option<Kind> {
    let (&[m0, m1, number], _) = bytes.split_first_chunk::<3>()?;
    Kind::ALL.into_iter().find(|kind| [m0, m1] == MAGIC && kind.number() == number)
}

fn checksum(number: u8, version: u8, length: [u8; 4], body: &[u8]) -> u32 {
    let [l0, l1, l2, l3] = length;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[number, version, l0, l1, l2, l3]);
    hasher.update(body);
    hasher.finalize()
}
