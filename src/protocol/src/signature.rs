//! The uDRM signature: `Base64(SHA1(key + data))` (uDRM 2.3.1).
//!
//! The key is used as its text bytes, never decoded first, and the data is whatever arrived, never
//! re-serialised. Comparison takes the same time wherever two signatures differ. The scheme can be
//! extended and never expires; what reads the data therefore has to be strict, and is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

use keymoot_model::loose_base64;

/// Why a text is not a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not twenty bytes in base64; most often hexadecimal digits.
    #[error("signature must be base64 of the 20 bytes of a SHA-1 digest, not its hexadecimal text")]
    Form,
}

/// A signature as a request carries it. It can be replayed, so `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct Signature([u8; 20]);

impl Signature {
    /// Reads the value of a `signature` parameter after percent-decoding.
    ///
    /// # Errors
    /// [`SignatureError::Form`] for anything but base64 of twenty bytes.
    pub fn parse(parameter: impl AsRef<[u8]>) -> Result<Self, SignatureError> {
        let bytes = loose_base64::decode(parameter).map_err(|_| SignatureError::Form)?;
        Ok(Self(bytes.try_into().map_err(|_| SignatureError::Form)?))
    }

    /// Signs `data` with the text bytes of `key`.
    pub fn sign(key: &[u8], data: &[u8]) -> Self {
        Self(Sha1::new().chain_update(key).chain_update(data).finalize().into())
    }

    /// Whether this is the signature of `data` under `key`.
    pub fn verify(&self, key: &[u8], data: &[u8]) -> bool {
        Self::sign(key, data).0.ct_eq(&self.0).into()
    }

    /// The text of a `signature` parameter, before percent-encoding.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OVP: &[u8] = br#"{"ca_system":"OVP","account_id":"167","content_id":"a.mp4","files":""}"#;
    const OTT: &str = r#"{"ca_system":"OTT","account_id":167,"content_id":"café.ism","files":""}"#;

    #[test]
    fn known_requests_have_known_signatures() {
        let signature = Signature::parse("h405UlVg8QQxG/HGOJlJs4EY3T0=").unwrap();
        assert!(signature.verify(b"test-signing-key", OVP));
        assert!(!signature.verify(b"test-signing-kez", OVP));
        assert_eq!(Signature::sign(b"k3y", OTT.as_bytes()).to_base64(), "HJMjfjkDjPo51Z2xNSl2EH+NDH8=");
    }

    #[test]
    fn anything_but_twenty_bytes_in_base64_is_refused() {
        for text in [
            "",
            "=",
            "h405UlVg8QQxG/HGOJlJs4EY3T1=",
            "h405UlVg8QQxG/HGOJlJs4EY3T0==",
            " h405UlVg8QQxG/HGOJlJs4EY3T0=",
            "AAAA",
            "878d39525560f104311bf1c6389949b38118dd3d",
        ] {
            assert_eq!(Signature::parse(text).err(), Some(SignatureError::Form), "{text:?}");
        }
    }

    #[test]
    fn debug_does_not_show_what_could_be_replayed() {
        assert_eq!(format!("{:?}", Signature::sign(b"k", b"d")), "Signature(…)");
    }

    proptest! {
        #[test]
        fn a_signature_reads_back_and_verifies(key: Vec<u8>, data: Vec<u8>) {
            let text = Signature::sign(&key, &data).to_base64();
            prop_assert!(Signature::parse(text).unwrap().verify(&key, &data));
        }

        #[test]
        fn one_bit_changed_anywhere_fails(key in prop::collection::vec(any::<u8>(), 1..40),
                                          data in prop::collection::vec(any::<u8>(), 1..200),
                                          at: prop::sample::Index, bit in 0_u8..8) {
            let signature = Signature::sign(&key, &data);
            let flip = |bytes: &[u8]| {
                let mut bytes = bytes.to_vec();
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes
            };
            prop_assert!(!signature.verify(&flip(&key), &data));
            prop_assert!(!signature.verify(&key, &flip(&data)));
            let other = Signature(flip(&signature.0).try_into().unwrap());
            prop_assert!(!other.verify(&key, &data));
        }
    }
}
