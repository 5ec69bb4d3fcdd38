//! Levels that a system defines by number. Only the numbers it defines can be made; a refusal
//! names them.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::{Serialize, Serializer};

/// Makes a newtype over the numbers that a system allows.
macro_rules! level {
    ($(#[$doc:meta])* $name:ident, [$($value:literal),+]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u16);

        impl $name {
            /// The numbers that are allowed, ascending.
            pub const ALLOWED: &'static [u16] = &[$($value),+];

            /// The level with this number, if the system defines it.
            pub fn new(number: u16) -> Option<Self> {
                Self::ALLOWED.contains(&number).then_some(Self(number))
            }

            pub const fn number(self) -> u16 {
                self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
                writer.serialize_u64(self.0.into())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
                reader.deserialize_u64(LevelReader(Self::ALLOWED)).map(Self)
            }
        }
    };
}

level!(
    /// PlayReady minimum compressed or uncompressed digital audio output protection level (uDRM 2.4.1).
    AudioLevel, [100, 150, 200, 250, 300]
);
level!(
    /// PlayReady minimum compressed digital video output protection level (uDRM 2.4.1).
    CompressedVideoLevel, [400, 500]
);
level!(
    /// PlayReady minimum uncompressed digital video output protection level (uDRM 2.4.1).
    UncompressedVideoLevel, [100, 250, 270, 300]
);
level!(
    /// PlayReady minimum analog television output protection level (uDRM 2.4.1).
    AnalogLevel, [100, 150, 200]
);
level!(
    /// PlayReady minimum security level of the device.
    PlayReadySecurityLevel, [150, 2000, 3000]
);
level!(
    /// Widevine security level, from software crypto (1) to all in hardware (5).
    WidevineSecurityLevel, [1, 2, 3, 4, 5]
);

struct LevelReader(&'static [u16]);

impl Visitor<'_> for LevelReader {
    type Value = u16;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of ")?;
        for (index, number) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{number}")?;
        }
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u16, E> {
        let known = u16::try_from(number).ok().filter(|number| self.0.contains(number));
        known.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(number), &self))
    }
}
