//! FairPlay Streaming: the constant IV that packager and license both need.
//!
//! The IV is a function of the key id alone. So every node always computes the same IV without storing it,
//! for supplied and generated keys alike, and the license side has the key id at hand. A key id is random and
//! never used for a second key, so no IV repeats under another key. The key itself is not an input, so an IV
//! in a playlist reveals nothing about it.

use sha2::{Digest as _, Sha256};

use keymoot_model::Kid;

/// Separates these digests from every other use of SHA-256 over a key id.
const DOMAIN: &[u8] = b"keymoot fairplay constant iv 1:";

/// The constant IV of the key with this id.
pub fn constant_iv(kid: &Kid) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::new().chain_update(DOMAIN).chain_update(kid.as_bytes()).finalize().into();
    let mut iv = [0; 16];
    iv.iter_mut().zip(digest).for_each(|(byte, of_digest)| *byte = of_digest);
    iv
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_iv_of_a_key_id_never_changes() {
        // Content in the field is encrypted with it: another value would make it unplayable.
        let iv = constant_iv(&Kid::from_bytes(*b"0123456789abcdef"));
        assert_eq!(base16ct::lower::encode_string(&iv), "e8dd169892eae706d375c2316d69f222");
    }

    proptest! {
        #[test]
        fn two_key_ids_have_two_ivs(one: [u8; 16], other: [u8; 16]) {
            prop_assume!(one != other);
            prop_assert_ne!(constant_iv(&Kid::from_bytes(one)), constant_iv(&Kid::from_bytes(other)));
        }
    }
}
