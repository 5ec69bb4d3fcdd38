//! Derived key ids: a place encrypted into sixteen bytes that look like any other key id.
//!
//! One AES-256 block under a key of the cluster: content 48 bits, version 16, track 16, period 32, check 16,
//! big-endian. The cipher is a permutation, so each place has an id of its own. Without the key nobody can
//! find the place of an id or guess the next id; with it every node turns an id back into its place without a
//! lookup. A foreign id passes the check once in 65,536 times; it then decrypts to a seed that does not
//! exist, except with a probability of about 2^-64.

use std::fmt;

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};

use keymoot_model::{Kid, SeedId};

/// The last two bytes of every block. Part of the format; never changes.
const CHECK: u16 = 0x4b4d;

/// The place that a derived key id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KidPlace {
    /// The seed that the key is derived from.
    pub seed: SeedId,
    /// The index of the period.
    pub index: u32,
}

/// The cluster's key for derived key ids.
pub struct KidKey(Aes256);

impl KidKey {
    /// A key of exactly 32 bytes; the caller zeroizes its own copy.
    pub(super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Aes256::new_from_slice(bytes).ok().map(Self)
    }

    /// The key id of a place.
    pub fn kid(&self, place: KidPlace) -> Kid {
        let KidPlace { seed, index } = place;
        // Six bytes are enough: the state never assigns a higher content number.
        let block = (u128::from(seed.content & SeedId::CONTENTS_MAX) << 80)
            | (u128::from(seed.version) << 64)
            | (u128::from(seed.track) << 48)
            | (u128::from(index) << 16)
            | u128::from(CHECK);
        let mut block = Array::from(block.to_be_bytes());
        self.0.encrypt_block(&mut block);
        Kid::from_bytes(block.into())
    }

    /// The place of a key id; `None` if the id was not made under this key.
    pub fn place(&self, kid: &Kid) -> Option<KidPlace> {
        let mut block = Array::from(*kid.as_bytes());
        self.0.decrypt_block(&mut block);
        let block = u128::from_be_bytes(block.into());
        if block as u16 != CHECK {
            return None;
        }
        let seed = SeedId {
            content: (block >> 80) as u64,
            version: (block >> 64) as u16,
            track: (block >> 48) as u16,
        };
        Some(KidPlace { seed, index: (block >> 16) as u32 })
    }
}

impl fmt::Debug for KidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KidKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> KidKey {
        KidKey::from_slice(&[byte; 32]).unwrap()
    }

    fn any_place() -> impl Strategy<Value = KidPlace> {
        (0..=SeedId::CONTENTS_MAX, any::<u16>(), any::<u16>(), any::<u32>()).prop_map(
            |(content, version, track, index)| KidPlace { seed: SeedId { content, version, track }, index },
        )
    }

    #[test]
    fn the_layout_does_not_change() {
        let seed = SeedId { content: 0x0102_0304_0506, version: 0x0708, track: 0x090a };
        let kid = key(7).kid(KidPlace { seed, index: 0x0b0c_0d0e });
        let mut block = Array::from(*kid.as_bytes());
        Aes256::new_from_slice(&[7; 32]).unwrap().decrypt_block(&mut block);
        assert_eq!(block.as_slice(), b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0eKM");
    }

    #[test]
    fn a_hundred_thousand_places_have_as_many_ids() {
        let key = key(1);
        let mut seen = HashSet::new();
        for content in 1..=10 {
            for version in 1..=10 {
                for index in 0..1000 {
                    let seed = SeedId { content, version, track: 0 };
                    assert!(seen.insert(key.kid(KidPlace { seed, index })));
                }
            }
        }
    }

    #[test]
    fn the_check_refuses_foreign_ids_but_for_one_in_65536() {
        let key = key(1);
        let passed = (0..200_000_u128)
            .filter(|n| key.place(&Kid::from_bytes((n * 0x9e37_79b9_7f4a_7c15).to_be_bytes())).is_some())
            .count();
        assert!(passed < 20, "{passed} of 200,000 foreign ids passed");
    }

    proptest! {
        #[test]
        fn an_id_turns_back_into_its_place(place in any_place()) {
            prop_assert_eq!(key(1).place(&key(1).kid(place)), Some(place));
        }

        #[test]
        fn two_places_never_share_an_id(one in any_place(), other in any_place()) {
            prop_assert_eq!(key(1).kid(one) == key(1).kid(other), one == other);
        }

        #[test]
        fn another_clusters_id_is_no_place_of_this_one(place in any_place()) {
            // One in 65,536 passes the check by chance, and then decrypts to another place.
            prop_assert_ne!(key(2).place(&key(1).kid(place)), Some(place));
        }
    }
}
