//! Who signed a request of the API, and whether they did: with AES or with RSA, over the inner request's
//! bytes as they came.
//!
//! An AES signature has 32 bytes and an RSA one as many as its modulus, so the length of a signature says
//! what can have made it. Whoever verifies thus knows from the request alone what work that is.

use std::fmt;
use std::hint::black_box;
use std::sync::LazyLock;

use bytes::Bytes;

use keymoot_crypto::AesSigner;
use keymoot_model::Scheme;

use super::pss::PssPublicKey;

/// The length of an AES signature.
const AES_BYTES: usize = 32;

/// A secret of no account.
const DUMMY_AES: &[u8] =
    b"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a:00000000000000000000000000000000";

/// The key of no account, read once like those of accounts.
static DUMMY_AES_KEY: LazyLock<Option<WidevineKey>> =
    LazyLock::new(|| WidevineKey::read(Scheme::WidevineAes, DUMMY_AES));

/// A signature, and what it is of.
#[derive(Clone, Debug)]
pub struct WidevineSignature {
    /// Whoever is said to have made it: the account, or one of its credentials.
    pub signer: String,
    pub signature: Vec<u8>,
    /// The bytes that it covers.
    pub signed_bytes: Bytes,
}

impl WidevineSignature {
    /// The scheme that a signature of this length can be of, if it can be of any.
    pub fn scheme(&self) -> Option<Scheme> {
        match self.signature.len() {
            AES_BYTES => Some(Scheme::WidevineAes),
            bytes if PssPublicKey::SIGNATURE_BYTES.contains(&bytes) => Some(Scheme::WidevineRsa),
            _ => None,
        }
    }

    /// Whether it was made with this key. None when that makes signatures of another scheme or length: it is then
    /// told apart without the work of a verification.
    pub fn verify(&self, key: &WidevineKey) -> Option<bool> {
        match (&key.0, self.scheme()?) {
            (Kind::Aes(signer), Scheme::WidevineAes) => {
                Some(signer.verify(&self.signed_bytes, &self.signature))
            }
            (Kind::Rsa(key), Scheme::WidevineRsa) => key.verify(&self.signed_bytes, &self.signature),
            _ => None,
        }
    }

    /// Does the work of [`Self::verify`] with a key that belongs to no account.
    pub fn verify_dummy(&self) {
        let (bytes, signature) = (&self.signed_bytes, &self.signature);
        let verified = match self.scheme() {
            Some(Scheme::WidevineAes) => DUMMY_AES_KEY.as_ref().and_then(|key| self.verify(key)),
            Some(_) => PssPublicKey::dummy_for(signature).verify(bytes, signature),
            None => None,
        };
        black_box(verified);
    }
}

/// A key that verifies signatures of the API: read once, when its credential is opened, and not for each request.
pub struct WidevineKey(Kind);

enum Kind {
    Aes(AesSigner),
    Rsa(PssPublicKey),
}

impl WidevineKey {
    /// Reads the secret of a credential: for `widevine-aes` key and IV as 64 and 32 hexadecimal digits with a colon
    /// between, for `widevine-rsa` a public key in PEM. None when it is neither, or the scheme is not of the API.
    pub fn read(scheme: Scheme, secret: &[u8]) -> Option<Self> {
        match scheme {
            Scheme::WidevineAes => AesSigner::parse(secret).map(Kind::Aes).map(Self),
            Scheme::WidevineRsa => PssPublicKey::from_pem(secret).map(Kind::Rsa).map(Self),
            _ => None,
        }
    }
}

impl fmt::Debug for WidevineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WidevineKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use keymoot_testing::pss_sample::{MESSAGE, PUBLIC_KEY, SIGNATURE};

    use super::*;

    /// Key 00…1f, IV 20…2f.
    const AES: &str =
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:202122232425262728292a2b2c2d2e2f";

    fn rsa_key() -> WidevineKey {
        WidevineKey::read(Scheme::WidevineRsa, PUBLIC_KEY.as_bytes()).unwrap()
    }

    fn aes_key() -> WidevineKey {
        WidevineKey::read(Scheme::WidevineAes, AES.as_bytes()).unwrap()
    }

    fn signature(signature: Vec<u8>) -> WidevineSignature {
        WidevineSignature { signer: "167".to_owned(), signature, signed_bytes: Bytes::from_static(MESSAGE) }
    }

    #[test]
    fn a_signature_is_held_against_secrets_of_its_length_only() {
        let rsa = signature(STANDARD.decode(SIGNATURE).unwrap());
        assert_eq!(rsa.scheme(), Some(Scheme::WidevineRsa));
        assert_eq!(rsa.verify(&rsa_key()), Some(true));
        assert_eq!(rsa.verify(&aes_key()), None);
        assert_eq!(signature(vec![0; 256]).verify(&rsa_key()), Some(false));
        assert_eq!(signature(vec![0xff; 256]).verify(&rsa_key()), Some(false));
        assert_eq!(signature(vec![0; 512]).verify(&rsa_key()), None);
        let aes = signature(AesSigner::parse(AES.as_bytes()).unwrap().sign(MESSAGE).to_vec());
        assert_eq!((aes.scheme(), aes.verify(&aes_key())), (Some(Scheme::WidevineAes), Some(true)));
        assert_eq!(aes.verify(&rsa_key()), None);
        for bytes in [0, 16, 33, 255, 1025] {
            assert_eq!(signature(vec![0; bytes]).scheme(), None, "{bytes}");
        }
    }

    #[test]
    fn a_secret_is_checked_for_its_scheme() {
        let is_key = |scheme, secret: &[u8]| WidevineKey::read(scheme, secret).is_some();
        assert!(is_key(Scheme::WidevineAes, AES.as_bytes()));
        assert!(is_key(Scheme::WidevineAes, DUMMY_AES));
        assert!(is_key(Scheme::WidevineRsa, PUBLIC_KEY.as_bytes()));
        assert!(!is_key(Scheme::WidevineRsa, AES.as_bytes()));
        assert!(!is_key(Scheme::WidevineAes, &AES.as_bytes()[1..]));
        assert!(!is_key(Scheme::UdrmSha1, AES.as_bytes()));
        assert_eq!(format!("{:?}", aes_key()), "WidevineKey(…)");
    }
}
