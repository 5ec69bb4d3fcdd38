//! Content keys that leave for the holders of certificates, as CPIX delivers them.
//!
//! A document key (AES-256-CBC) encrypts each content key, a MAC key (HMAC-SHA-512) authenticates each ciphertext, and
//! both are wrapped to each recipient by RSA-OAEP. The algorithms are CPIX's, not ours to choose: XML Encryption's
//! `rsa-oaep-mgf1p` is OAEP with SHA-1, whose weakness against collisions means nothing here.

use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use zeroize::Zeroizing;

use super::ContentKey;
use super::random::{RandomError, fill, random_bytes};

/// Why keys could not be encrypted. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error(transparent)]
    Random(#[from] RandomError),
    #[error("the recipient's key could not be used")]
    Recipient,
    #[error("the cipher failed")]
    Cipher,
}

/// The public key of a recipient.
pub struct KeyRecipient(OaepPublicEncryptingKey);

impl KeyRecipient {
    /// The key of a certificate's `SubjectPublicKeyInfo`; `None` unless it is RSA of 2048 to 8192 bits.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let key = PublicEncryptingKey::from_der(spki).ok()?;
        if !(2048..=8192).contains(&key.key_size_bits()) {
            return None;
        }
        OaepPublicEncryptingKey::new(key).ok().map(Self)
    }

    fn wrap(&self, secret: &[u8]) -> Result<Vec<u8>, DeliveryError> {
        let mut wrapped = vec![0; self.0.ciphertext_size()];
        let length = self
            .0
            .encrypt(&OAEP_SHA1_MGF1SHA1, secret, &mut wrapped, None)
            .map_err(|Unspecified| DeliveryError::Recipient)?
            .len();
        wrapped.truncate(length);
        Ok(wrapped)
    }
}

impl std::fmt::Debug for KeyRecipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRecipient(RSA, {} bits)", self.0.key_size_bits())
    }
}

/// The two keys of one document, drawn for it.
pub struct DocumentKey {
    key: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 64]>,
}

/// The two keys of a document as one recipient gets them.
pub struct WrappedDocumentKey {
    pub key: Vec<u8>,
    pub mac: Vec<u8>,
}

/// A content key as all recipients get it.
pub struct DeliveredKey {
    /// IV and ciphertext.
    pub cipher_value: Vec<u8>,
    /// HMAC-SHA-512 of the cipher value.
    pub mac: Vec<u8>,
}

impl DocumentKey {
    /// Draws both keys.
    ///
    /// # Errors
    /// [`DeliveryError::Random`] when the operating system's source fails.
    pub fn generate() -> Result<Self, DeliveryError> {
        let mut drawn = Self { key: Zeroizing::new([0; 32]), mac: Zeroizing::new([0; 64]) };
        fill(drawn.key.as_mut_slice())?;
        fill(drawn.mac.as_mut_slice())?;
        Ok(drawn)
    }

    /// Wraps both keys to a recipient.
    ///
    /// # Errors
    /// [`DeliveryError::Recipient`] when its key cannot be used.
    pub fn wrap_to(&self, recipient: &KeyRecipient) -> Result<WrappedDocumentKey, DeliveryError> {
        Ok(WrappedDocumentKey {
            key: recipient.wrap(self.key.as_slice())?,
            mac: recipient.wrap(self.mac.as_slice())?,
        })
    }

    /// Encrypts a content key under a fresh IV.
    ///
    /// # Errors
    /// [`DeliveryError`] when there is no randomness or the cipher fails.
    pub fn encrypt(&self, key: &ContentKey) -> Result<DeliveredKey, DeliveryError> {
        let iv: [u8; 16] = random_bytes()?;
        let cipher = UnboundCipherKey::new(&AES_256, self.key.as_slice())
            .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
            .map_err(|Unspecified| DeliveryError::Cipher)?;
        // With room for the padding, so that the buffer, which holds the key at first, is never moved.
        let mut buffer = Vec::with_capacity(32);
        buffer.extend_from_slice(key.expose());
        let context = EncryptionContext::Iv128(FixedLength::from(&iv));
        cipher.less_safe_encrypt(&mut buffer, context).map_err(|Unspecified| DeliveryError::Cipher)?;
        let cipher_value = [iv.as_slice(), &buffer].concat();
        let mac_key = hmac::Key::new(hmac::HMAC_SHA512, self.mac.as_slice());
        let mac = hmac::sign(&mac_key, &cipher_value).as_ref().to_vec();
        Ok(DeliveredKey { cipher_value, mac })
    }
}

impl std::fmt::Debug for DocumentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DocumentKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::cipher::{DecryptionContext, PaddedBlockDecryptingKey};
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};

    use super::*;

    #[test]
    fn the_holder_of_the_recipients_key_gets_the_content_key_and_its_mac() {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let recipient = KeyRecipient::from_spki(spki.as_ref()).unwrap();
        let private = OaepPrivateDecryptingKey::new(private).unwrap();
        let unwrap = |wrapped: &[u8]| {
            let mut plain = vec![0; private.min_output_size()];
            private.decrypt(&OAEP_SHA1_MGF1SHA1, wrapped, &mut plain, None).unwrap().to_vec()
        };
        let document = DocumentKey::generate().unwrap();
        let wrapped = document.wrap_to(&recipient).unwrap();
        let content = ContentKey::from_bytes(b"0123456789abcdef");
        let delivered = document.encrypt(&content).unwrap();

        let mac_key = hmac::Key::new(hmac::HMAC_SHA512, &unwrap(&wrapped.mac));
        hmac::verify(&mac_key, &delivered.cipher_value, &delivered.mac).unwrap();
        let (iv, ciphertext) = delivered.cipher_value.split_first_chunk::<16>().unwrap();
        let key = UnboundCipherKey::new(&AES_256, &unwrap(&wrapped.key)).unwrap();
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        let mut buffer = ciphertext.to_vec();
        let plain =
            PaddedBlockDecryptingKey::cbc_pkcs7(key).unwrap().decrypt(&mut buffer, context).unwrap().to_vec();
        assert_eq!(plain, content.expose());
        assert_ne!(document.encrypt(&content).unwrap().cipher_value, delivered.cipher_value);
        assert_eq!(
            format!("{document:?} {recipient:?}"),
            "DocumentKey(redacted) KeyRecipient(RSA, 2048 bits)"
        );
    }

    #[test]
    fn what_is_no_rsa_key_of_a_sound_length_is_no_recipient() {
        assert!(KeyRecipient::from_spki(b"").is_none());
        assert!(KeyRecipient::from_spki(&[0x30; 64]).is_none());
    }
}
