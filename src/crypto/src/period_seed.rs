//! The keys of crypto periods, derived from one stored seed.
//!
//! HKDF-SHA-256 over the seed; the info binds each key to account, content, track, period length and index. A
//! holder of some keys learns nothing about the seed or the other keys.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::random::{RandomError, fill};
use super::{ContentKey, binding, stack};
use keymoot_model::{KeyPath, Period};

/// The seed of a rotating track, zeroized on drop. On the heap, so that moving leaves no copy behind.
pub struct PeriodSeed(Box<[u8; 32]>);

impl PeriodSeed {
    /// Draws a seed from the operating system's randomness.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system's source fails; there is no fallback.
    pub fn generate() -> Result<Self, RandomError> {
        let mut seed = Self(Box::new([0; 32]));
        fill(seed.0.as_mut_slice())?;
        Ok(seed)
    }

    /// Copies exactly 32 bytes; the caller zeroizes its own copy.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut seed = Self(Box::new([0; 32]));
        if bytes.len() != seed.0.len() {
            return None;
        }
        seed.0.copy_from_slice(bytes);
        Some(seed)
    }

    /// The seed itself, to be wrapped.
    pub(super) fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for PeriodSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeriodSeed(redacted)")
    }
}

impl Drop for PeriodSeed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Derives the keys of a seed's periods, one after another.
pub struct PeriodKeys<'a> {
    hkdf: Hkdf<Sha256>,
    place: &'a KeyPath,
    length_s: u32,
}

impl<'a> PeriodKeys<'a> {
    /// The keys of the track at `place`, for periods of this length.
    pub fn new(seed: &PeriodSeed, place: &'a KeyPath, length_s: u32) -> Self {
        Self { hkdf: Hkdf::new(None, seed.expose()), place, length_s }
    }

    /// The key of the period with this index. It is the same on every node and never changes.
    pub fn key(&self, index: u32) -> ContentKey {
        stack::wiped_after(|| self.derive(Period { length_s: self.length_s, index }))
    }

    fn derive(&self, period: Period) -> ContentKey {
        let mut key = Zeroizing::new([0_u8; 16]);
        if self.hkdf.expand(&binding::derived_key(self.place, period), key.as_mut_slice()).is_err() {
            // HKDF refuses more than 255 hashes of output; this is half of one.
            unreachable!("sixteen bytes are never too many for HKDF");
        }
        ContentKey::from_bytes(&key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use keymoot_model::{AccountId, ContentId, TrackName};

    fn place(account: &str, content: &str, track: &str) -> KeyPath {
        KeyPath {
            account: AccountId::new(account).unwrap(),
            content: ContentId::new(content).unwrap(),
            track: TrackName::new(track).unwrap(),
        }
    }

    fn key(seed: u8, place: &KeyPath, length_s: u32, index: u32) -> [u8; 16] {
        let seed = PeriodSeed::from_slice(&[seed; 32]).unwrap();
        *PeriodKeys::new(&seed, place, length_s).key(index).expose()
    }

    #[test]
    fn the_derivation_does_not_change() {
        // HKDF-SHA-256 by an independent implementation: no salt, the info as `binding` encodes it.
        let got = key(1, &place("a", "c", "SD"), 10, 7);
        let hex: String = base16ct::lower::encode_string(&got);
        assert_eq!(hex, "0031eb0adc414bd18d6ca4af871a3cff");
    }

    #[test]
    fn everything_that_names_a_period_changes_its_key() {
        let base = key(1, &place("a", "c", "SD"), 10, 7);
        assert_eq!(key(1, &place("a", "c", "SD"), 10, 7), base);
        for other in [
            key(2, &place("a", "c", "SD"), 10, 7),
            key(1, &place("b", "c", "SD"), 10, 7),
            key(1, &place("a", "d", "SD"), 10, 7),
            key(1, &place("a", "c", "HD"), 10, 7),
            key(1, &place("a", "c", "SD"), 11, 7),
            key(1, &place("a", "c", "SD"), 10, 8),
        ] {
            assert_ne!(other, base);
        }
    }

    proptest! {
        #[test]
        fn no_two_periods_share_a_key(one: u32, other: u32, length_s: u32) {
            let place = place("a", "c", "SD");
            prop_assert_eq!(key(9, &place, length_s, one) == key(9, &place, length_s, other), one == other);
        }
    }

    #[test]
    fn debug_hides_the_seed() {
        assert_eq!(format!("{:?}", PeriodSeed::generate().unwrap()), "PeriodSeed(redacted)");
    }
}
