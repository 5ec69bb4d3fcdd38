//! The PlayReady Object: a list of records, of which the header is one.
//!
//! ```text
//! length u32 | record count u16 | count × (type u16 | length u16 | value)
//! ```
//!
//! All numbers are little-endian; the first length counts itself. No object is longer than
//! [`OBJECT_BYTES_MAX`], so none of its lengths is truncated. The reader never panics and never allocates
//! more than its input holds.

use bytes::{Buf as _, BufMut as _};

use super::WrmHeader;

/// The longest object: the limit of the specification.
pub(crate) const OBJECT_BYTES_MAX: usize = 15 * 1024;

/// The type of a record whose value is the header, in UTF-16 little-endian.
const RECORD_TYPE_HEADER: u16 = 1;

/// A PlayReady Object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayReadyObject {
    records: Vec<Record>,
}

/// A record of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// 1 for a header, 3 for an embedded license store.
    pub record_type: u16,
    pub value: Vec<u8>,
}

/// Why an object or its header cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlayReadyError {
    /// Longer than the specification allows.
    #[error("the PlayReady Object is longer than {bytes_max} bytes")]
    TooLong { bytes_max: usize },
    /// Shorter than its own fields declare.
    #[error("the PlayReady Object ends before its {what} is complete")]
    Truncated {
        /// The truncated field.
        what: &'static str,
    },
    /// The length field differs from the length of the input.
    #[error("the PlayReady Object says it is {said} bytes long, yet {given} bytes were given")]
    Length {
        /// The value of the field.
        said: u32,
        given: usize,
    },
    /// Bytes after the last record.
    #[error("the PlayReady Object holds {bytes} bytes behind its records")]
    Trailing { bytes: usize },
    /// No record is a header.
    #[error("the PlayReady Object holds no header")]
    NoHeader,
    /// The header cannot be read.
    #[error("the PlayReady header cannot be read: {0}")]
    Header(&'static str),
}

impl PlayReadyObject {
    /// An object of one record: this header.
    ///
    /// # Errors
    /// [`PlayReadyError::TooLong`] when the object would be longer than [`OBJECT_BYTES_MAX`].
    pub(crate) fn with_header(xml: &str) -> Result<Self, PlayReadyError> {
        let value: Vec<u8> = xml.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let object = Self { records: vec![Record { record_type: RECORD_TYPE_HEADER, value }] };
        if object.length_bytes() > OBJECT_BYTES_MAX {
            return Err(PlayReadyError::TooLong { bytes_max: OBJECT_BYTES_MAX });
        }
        Ok(object)
    }

    /// Reads an object. Records of any type are kept.
    ///
    /// # Errors
    /// [`PlayReadyError`] when the lengths do not agree with each other and with the input.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlayReadyError> {
        if bytes.len() > OBJECT_BYTES_MAX {
            return Err(PlayReadyError::TooLong { bytes_max: OBJECT_BYTES_MAX });
        }
        let mut rest = bytes;
        let said = rest.try_get_u32_le().map_err(|_| PlayReadyError::Truncated { what: "length" })?;
        if said as usize != bytes.len() {
            return Err(PlayReadyError::Length { said, given: bytes.len() });
        }
        let count = take_u16(&mut rest, "record count")?;
        let records = (0..count).map(|_| Record::take(&mut rest)).collect::<Result<_, _>>()?;
        if !rest.is_empty() {
            return Err(PlayReadyError::Trailing { bytes: rest.len() });
        }
        Ok(Self { records })
    }

    /// The object, byte for byte.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length_bytes());
        // The casts lose nothing: both constructors keep objects within 15 kilobytes.
        out.put_u32_le(self.length_bytes() as u32);
        out.put_u16_le(self.records.len() as u16);
        for record in &self.records {
            out.put_u16_le(record.record_type);
            out.put_u16_le(record.value.len() as u16);
            out.put_slice(&record.value);
        }
        out
    }

    /// The records, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The first header among the records, read.
    ///
    /// # Errors
    /// [`PlayReadyError::NoHeader`] when no record is a header, [`PlayReadyError::Header`] when the header
    /// cannot be read.
    pub fn header(&self) -> Result<WrmHeader, PlayReadyError> {
        let record = self.records.iter().find(|record| record.record_type == RECORD_TYPE_HEADER);
        let (units, odd) = record.ok_or(PlayReadyError::NoHeader)?.value.as_chunks::<2>();
        let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
        let xml: Result<String, _> = char::decode_utf16(units).collect();
        match xml {
            Ok(xml) if odd.is_empty() => WrmHeader::parse(&xml),
            _ => Err(PlayReadyError::Header("it is not UTF-16")),
        }
    }

    fn length_bytes(&self) -> usize {
        6 + self.records.iter().map(|record| 4 + record.value.len()).sum::<usize>()
    }
}

impl Record {
    /// Takes a record off the front.
    fn take(rest: &mut &[u8]) -> Result<Self, PlayReadyError> {
        let record_type = take_u16(rest, "record type")?;
        let length = take_u16(rest, "record length")?;
        let (value, after) = rest
            .split_at_checked(usize::from(length))
            .ok_or(PlayReadyError::Truncated { what: "record value" })?;
        *rest = after;
        Ok(Self { record_type, value: value.to_vec() })
    }
}

fn take_u16(rest: &mut &[u8], what: &'static str) -> Result<u16, PlayReadyError> {
    rest.try_get_u16_le().map_err(|_| PlayReadyError::Truncated { what })
}

#[cfg(test)]
mod tests;
