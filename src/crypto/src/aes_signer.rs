//! Signatures of the Widevine APIs with a shared AES key: AES-256-CBC over the SHA-1 of the signed bytes.
//!
//! Keymoot verifies the signatures of packagers that ask for keys, and signs its own requests to a Widevine
//! license server.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The value of the twelve PKCS #7 padding bytes that follow a SHA-1.
const PADDING: u8 = 12;

/// The key and the IV of an AES signer.
pub struct AesSigner {
    key: Zeroizing<[u8; 32]>,
    iv: [u8; 16],
}

impl AesSigner {
    /// Parses the form of secret files: 64 hexadecimal digits (key), a colon, 32 hexadecimal digits (IV).
    pub fn parse(secret: &[u8]) -> Option<Self> {
        let (key, iv) = std::str::from_utf8(secret).ok()?.split_once(':')?;
        Some(Self { key: Zeroizing::new(hex(key)?), iv: hex(iv)? })
    }

    pub fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        let mut signature = [PADDING; 32];
        signature.iter_mut().zip(Sha1::digest(bytes)).for_each(|(out, hash)| *out = hash);
        let cipher = Aes256::new((&*self.key).into());
        let mut before = self.iv;
        for block in signature.chunks_exact_mut(16) {
            block.iter_mut().zip(before).for_each(|(byte, before)| *byte ^= before);
            let mut array = [0; 16];
            array.copy_from_slice(block);
            let mut encrypted = Array::from(array);
            cipher.encrypt_block(&mut encrypted);
            before = encrypted.into();
            block.copy_from_slice(&before);
        }
        signature
    }

    /// Whether the signature decrypts to the SHA-1 of the bytes. Clients differ in how they pad it to two
    /// blocks, so the padding is not checked.
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let Some((first, second)) = signature.split_first_chunk::<16>() else { return false };
        let Ok(second) = <[u8; 16]>::try_from(second) else { return false };
        let cipher = Aes256::new((&*self.key).into());
        let mut hash = [0_u8; 32];
        let blocks = [(*first, self.iv), (second, *first)];
        for (out, (block, before)) in hash.chunks_exact_mut(16).zip(blocks) {
            let mut block = Array::from(block);
            cipher.decrypt_block(&mut block);
            out.iter_mut().zip(block.iter().zip(before)).for_each(|(out, (a, b))| *out = a ^ b);
        }
        let expected = Sha1::digest(bytes);
        hash.first_chunk::<20>().is_some_and(|hash| hash.as_slice().ct_eq(expected.as_slice()).into())
    }
}

impl std::fmt::Debug for AesSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AesSigner(redacted)")
    }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0_u8; N];
    let decoded = base16ct::mixed::decode(text, &mut bytes).ok()?.len();
    (decoded == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_testing::pss_sample;

    /// Key 00…1f, IV 20…2f.
    const SECRET: &str =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:202122232425262728292a2b2c2d2e2f";
    /// The signature of [`pss_sample::MESSAGE`], made with pyca/cryptography and PKCS #7 padding.
    const SIGNATURE: &str = "9d274185abf427b22a449a088b224c5ff4b20625e459c6c531f36c2f0b03ce77";

    #[test]
    fn a_signature_is_the_one_that_other_libraries_make() {
        let signer = AesSigner::parse(SECRET.as_bytes()).unwrap();
        let made = signer.sign(pss_sample::MESSAGE);
        assert_eq!(made, hex::<32>(SIGNATURE).unwrap());
        assert!(signer.verify(pss_sample::MESSAGE, &made));
        let other = AesSigner::parse(SECRET.replace('0', "5").as_bytes()).unwrap();
        assert!(!signer.verify(b"another", &made) && !other.verify(pss_sample::MESSAGE, &made));
    }

    #[test]
    fn a_secret_is_two_numbers_of_the_right_length() {
        for wrong in ["", ":", &SECRET[1..], &SECRET[..96], &SECRET.replace('0', "g")] {
            assert!(AesSigner::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }
}
