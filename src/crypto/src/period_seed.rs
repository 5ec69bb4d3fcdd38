//! The keys of crypto periods, derived from one stored seed.
//!
//! HKDF-SHA-256 over the seed; the info binds each key to account, content, track, period length and index. A
//! holder of some keys learns nothing about the seed or the other keys.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::seed::{Seed, SeedKind, expand};
use super::{ContentKey, binding, stack};
use keymoot_model::{KeyPath, Period};

/// Crypto periods are derived from it.
#[derive(Debug)]
pub enum OfPeriods {}

impl SeedKind for OfPeriods {
    const NAME: &'static str = "PeriodSeed";
}

/// The seed of a rotating track.
pub type PeriodSeed = Seed<OfPeriods>;

/// Derives the keys of a seed's periods, one after another.
pub struct PeriodKeys<'a> {
    hkdf: Hkdf<Sha256>,
    place: &'a KeyPath,
    length_s: u32,
}

impl<'a> PeriodKeys<'a> {
    /// The keys of the track at `place`, for periods of this length.
    pub fn new(seed: &PeriodSeed, place: &'a KeyPath, length_s: u32) -> Self {
        Self { hkdf: seed.hkdf(), place, length_s }
    }

    /// The key of the period with this index. It is the same on every node and never changes.
    pub fn key(&self, index: u32) -> ContentKey {
        stack::wiped_after(|| self.derive(Period { length_s: self.length_s, index }))
    }

    fn derive(&self, period: Period) -> ContentKey {
        let mut key = Zeroizing::new([0_u8; 16]);
        expand(&self.hkdf, &binding::derived_key(self.place, period), key.as_mut_slice());
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
