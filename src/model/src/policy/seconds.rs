//! Durations in whole seconds. Zero is refused: to some systems it means "without end".

use std::fmt;
use std::num::NonZeroU32;

use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::{Serialize as _, Serializer};

/// A duration while it is deserialized.
struct Seconds(NonZeroU32);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        required::deserialize(reader).map(Self)
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<NonZeroU32>, D::Error> {
    Ok(Option::<Seconds>::deserialize(reader)?.map(|seconds| seconds.0))
}

// The signature that serde requires for a field.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) fn serialize<S: Serializer>(seconds: &Option<NonZeroU32>, writer: S) -> Result<S::Ok, S::Error> {
    seconds.map(|seconds| u64::from(seconds.get())).serialize(writer)
}

/// A duration that must be given.
pub(super) mod required {
    use super::*;

    struct SecondsReader;

    impl Visitor<'_> for SecondsReader {
        type Value = NonZeroU32;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number of seconds from 1 to 4294967295")
        }

        fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NonZeroU32, E> {
            let fitting = u32::try_from(seconds).ok().and_then(NonZeroU32::new);
            fitting.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(seconds), &self))
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<NonZeroU32, D::Error> {
        reader.deserialize_u64(SecondsReader)
    }

    // The signature that serde requires for a field.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub(crate) fn serialize<S: Serializer>(seconds: &NonZeroU32, writer: S) -> Result<S::Ok, S::Error> {
        writer.serialize_u64(seconds.get().into())
    }
}
