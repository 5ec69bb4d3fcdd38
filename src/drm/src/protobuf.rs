//! The parts of protocol buffers that Widevine data needs: varints and length-delimited fields.
//!
//! Fields are written in the order of the calls, so output is deterministic. The reader accepts fields of
//! every wire type that can occur, refuses truncated input, and never panics.

use bytes::BufMut as _;

/// Writes the fields of one message.
#[derive(Debug, Default)]
pub struct MessageWriter(Vec<u8>);

impl MessageWriter {
    /// Adds an unsigned or enum field.
    pub fn varint(mut self, field: u32, value: u64) -> Self {
        self.put_varint((u64::from(field) << 3) | WIRE_VARINT);
        self.put_varint(value);
        self
    }

    /// Adds a bytes or string field.
    pub fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.put_varint((u64::from(field) << 3) | WIRE_BYTES);
        self.put_varint(value.len() as u64);
        self.0.put_slice(value);
        self
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.put_u8(value as u8);
    }
}

const WIRE_VARINT: u64 = 0;
const WIRE_FIXED64: u64 = 1;
const WIRE_BYTES: u64 = 2;
const WIRE_FIXED32: u64 = 5;

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A varint.
    Varint(u64),
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
    /// A 32 or 64 bit number; only unknown fields can have this type.
    Fixed,
}

/// Reads the fields of a message in order; ends after the first error.
#[derive(Debug)]
pub struct MessageReader<'a>(&'a [u8]);

/// The bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAMessage;

impl<'a> MessageReader<'a> {
    /// Reads the message in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take_field(&mut self) -> Result<(u64, Value<'a>), NotAMessage> {
        let tag = self.take_varint()?;
        let value = match tag & 7 {
            WIRE_VARINT => Value::Varint(self.take_varint()?),
            WIRE_BYTES => {
                let length = usize::try_from(self.take_varint()?).map_err(|_| NotAMessage)?;
                Value::Bytes(self.take_bytes(length)?)
            }
            WIRE_FIXED32 => self.take_bytes(4).map(|_| Value::Fixed)?,
            WIRE_FIXED64 => self.take_bytes(8).map(|_| Value::Fixed)?,
            _ => return Err(NotAMessage),
        };
        Ok((tag >> 3, value))
    }

    fn take_bytes(&mut self, length: usize) -> Result<&'a [u8], NotAMessage> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(NotAMessage)?;
        self.0 = rest;
        Ok(taken)
    }

    fn take_varint(&mut self) -> Result<u64, NotAMessage> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(NotAMessage)?;
            self.0 = rest;
            // The tenth byte holds one bit only; more would be lost.
            if shift == 63 && *byte > 1 {
                return Err(NotAMessage);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(NotAMessage)
    }
}

impl<'a> Iterator for MessageReader<'a> {
    type Item = Result<(u64, Value<'a>), NotAMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.take_field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, NotAMessage> {
        MessageReader::new(bytes).collect()
    }

    #[test]
    fn fields_are_written_as_the_encoding_guide_says() {
        // The guide's own examples: field 1 = 150, and field 2 = "testing".
        let bytes = MessageWriter::default().varint(1, 150).bytes(2, b"testing").finish();
        assert_eq!(bytes, b"\x08\x96\x01\x12\x07testing");
    }

    #[test]
    fn unknown_fixed_width_fields_are_passed_over() {
        let bytes = [0x0d, 1, 2, 3, 4, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x18, 5];
        assert_eq!(read(&bytes), Ok(vec![(1, Value::Fixed), (2, Value::Fixed), (3, Value::Varint(5))]));
    }

    #[test]
    fn what_is_cut_off_or_of_no_known_kind_is_refused() {
        let cut_off: [&[u8]; 5] = [b"\x08", b"\x08\x80", b"\x12\x02a", b"\x0d\x01", b"\x0b"];
        for bytes in cut_off {
            assert_eq!(read(bytes), Err(NotAMessage), "{bytes:02x?}");
        }
        assert_eq!(read(&[&[0x08][..], &[0xff; 10]].concat()), Err(NotAMessage));
        assert_eq!(read(&[&[0x08][..], &[0xff; 9], &[2]].concat()), Err(NotAMessage));
    }

    proptest! {
        #[test]
        fn a_message_reads_back(number in any::<u64>(), field in 1_u32..1 << 29, text in any::<Vec<u8>>()) {
            let bytes = MessageWriter::default().varint(field, number).bytes(field, &text).finish();
            let field = u64::from(field);
            prop_assert_eq!(read(&bytes), Ok(vec![(field, Value::Varint(number)), (field, Value::Bytes(&text))]));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes);
        }
    }
}
