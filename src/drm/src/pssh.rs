//! The `pssh` box of ISO/IEC 23001-7: writer and reader, versions 0 and 1.
//!
//! ```text
//! size u32 | 'pssh' | version u8 | flags u24 | SystemID 16 | [v1: count u32 | count × KID 16] | size u32 | data
//! ```
//!
//! All numbers are big-endian. The reader is strict: it accepts exactly the bytes that the writer would
//! write, so different bytes never read as the same box. It never allocates more than its input holds, and
//! never panics.

use bytes::{Buf as _, BufMut as _};

use super::SystemId;
use keymoot_model::Kid;

/// The longest input that [`parse_boxes`] accepts; a `moov` holds a few hundred bytes per system.
pub(crate) const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Size, type, version with flags, and system id.
pub(super) const PRELUDE_BYTES: usize = 4 + 4 + 4 + 16;

/// A `pssh` box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PsshBox {
    /// The system it is for.
    pub system: SystemId,
    /// The key ids in the box itself; `None` in a version 0 box, which has no such list.
    pub kids: Option<Vec<Kid>>,
    /// The system's own data.
    pub data: Vec<u8>,
}

/// Why bytes are not a sequence of `pssh` boxes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PsshError {
    /// More input than any presentation needs.
    #[error("pssh data is longer than {bytes_max} bytes; send the pssh boxes alone")]
    TooLong { bytes_max: usize },
    /// The bytes end inside a box.
    #[error("the pssh box ends before its {what} is complete")]
    Truncated {
        /// The truncated field.
        what: &'static str,
    },
    /// The size field does not fit a box at this position.
    #[error("a pssh box cannot have size {size} here: {bytes_left} bytes are left")]
    Size {
        /// The value of the field.
        size: u32,
        /// The bytes left of the input.
        bytes_left: usize,
    },
    /// A box of another type.
    #[error("the box is not of type pssh; send the pssh boxes alone, without those around them")]
    NotPssh,
    /// A version or flags that no edition of the standard defines.
    #[error("pssh version {version} with flags {flags:#x} is not known; versions 0 and 1 without flags are")]
    Version { version: u8, flags: u32 },
    /// Bytes after the data, inside the box.
    #[error("the pssh box holds {bytes} bytes behind its data")]
    Trailing { bytes: usize },
}

impl PsshBox {
    /// The box, byte for byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        let list_bytes = self.kids.as_ref().map_or(0, |kids| 4 + 16 * kids.len());
        let size = PRELUDE_BYTES + list_bytes + 4 + self.data.len();
        let mut out = Vec::with_capacity(size);
        put_prelude(&mut out, size, u8::from(self.kids.is_some()), self.system);
        if let Some(kids) = &self.kids {
            out.put_u32(kids.len() as u32);
            kids.iter().for_each(|kid| out.put_slice(kid.as_bytes()));
        }
        out.put_u32(self.data.len() as u32);
        out.put_slice(&self.data);
        out
    }
}

/// Reads consecutive `pssh` boxes; empty input holds none.
///
/// # Errors
/// [`PsshError`] when anything but whole `pssh` boxes of known versions is found.
pub fn parse_boxes(bytes: &[u8]) -> Result<Vec<PsshBox>, PsshError> {
    if bytes.len() > INPUT_BYTES_MAX {
        return Err(PsshError::TooLong { bytes_max: INPUT_BYTES_MAX });
    }
    let mut boxes = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (this, after) = split_box(rest)?;
        boxes.push(parse_box(this)?);
        rest = after;
    }
    Ok(boxes)
}

/// Writes the fields before the key ids (version 1) or the data size (version 0).
///
/// The size fields are 32 bits wide. No length is truncated: the box was made by a provider, which keeps it
/// to a few kilobytes, or read by [`parse_boxes`], which accepts at most [`INPUT_BYTES_MAX`].
pub(super) fn put_prelude(out: &mut Vec<u8>, size: usize, version: u8, system: SystemId) {
    out.put_u32(size as u32);
    out.put_slice(b"pssh");
    out.put_u32(u32::from(version) << 24);
    out.put_slice(system.as_bytes());
}

/// Splits off the first box. Returns its bytes without the size field, and the rest.
fn split_box(bytes: &[u8]) -> Result<(&[u8], &[u8]), PsshError> {
    let mut rest = bytes;
    let size = rest.try_get_u32().map_err(|_| PsshError::Truncated { what: "size" })?;
    // Sizes 0 (to the end of the file) and 1 (64 bits follow) are legal for boxes of gigabytes but useless
    // for one of a hundred bytes: they are refused like other impossible sizes.
    let refused = PsshError::Size { size, bytes_left: bytes.len() };
    let body_bytes = (size as usize).checked_sub(4).ok_or(refused.clone())?;
    rest.split_at_checked(body_bytes).ok_or(refused)
}

/// Reads a box whose size field was removed and checked.
fn parse_box(body: &[u8]) -> Result<PsshBox, PsshError> {
    let mut rest = body;
    if take::<4>(&mut rest, "type")? != *b"pssh" {
        return Err(PsshError::NotPssh);
    }
    let version_and_flags = take_u32(&mut rest, "version")?;
    let (version, flags) = ((version_and_flags >> 24) as u8, version_and_flags & 0x00ff_ffff);
    if version > 1 || flags != 0 {
        return Err(PsshError::Version { version, flags });
    }
    let system = SystemId::from_bytes(take::<16>(&mut rest, "system id")?);
    let kids = if version == 1 { Some(take_kids(&mut rest)?) } else { None };
    let data_bytes = take_u32(&mut rest, "data size")? as usize;
    let (data, trailing) = rest.split_at_checked(data_bytes).ok_or(PsshError::Truncated { what: "data" })?;
    if !trailing.is_empty() {
        return Err(PsshError::Trailing { bytes: trailing.len() });
    }
    Ok(PsshBox { system, kids, data: data.to_vec() })
}

/// Takes the counted list of key ids. The count is never trusted beyond the bytes that follow.
pub(super) fn take_kids(rest: &mut &[u8]) -> Result<Vec<Kid>, PsshError> {
    let count = take_u32(rest, "key id count")? as usize;
    if count > rest.len() / 16 {
        return Err(PsshError::Truncated { what: "list of key ids" });
    }
    (0..count).map(|_| take::<16>(rest, "key id").map(Kid::from_bytes)).collect()
}

/// Takes a number off the front.
pub(super) fn take_u32(rest: &mut &[u8], what: &'static str) -> Result<u32, PsshError> {
    rest.try_get_u32().map_err(|_| PsshError::Truncated { what })
}

/// Takes `N` bytes off the front.
fn take<const N: usize>(rest: &mut &[u8], what: &'static str) -> Result<[u8; N], PsshError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(PsshError::Truncated { what })?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests;
