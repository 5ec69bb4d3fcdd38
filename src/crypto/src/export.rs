//! Content keys sealed for one recipient, to leave this cluster: HPKE (RFC 9180), base mode, with
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM.
//!
//! Each key is sealed by itself, with a key pair drawn for it, and bound to account, content, track, version,
//! key id and period: a sealed key does not open once it was moved or altered. HPKE's base mode does not
//! authenticate the sender: whoever imports keys from a file must know where the file came from.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{
    Deserializable as _, Kem, OpModeR, OpModeS, Serializable as _, single_shot_open, single_shot_seal,
};
use zeroize::Zeroizing;

use super::random::{RandomError, random_bytes};
use super::secret_file::{self, SecretFileError};
use super::stack::wiped_after;
use super::{ContentKey, binding};
use keymoot_model::{KeyPath, Kid, Period};

use std::path::Path;

/// The `info` of HPKE; the same for every key.
const INFO: &[u8] = b"keymoot export 1";

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type Encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey;

/// The context of a sealed key. All of it must be the same when the key is opened.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    pub place: &'a KeyPath,
    /// Its version within its track.
    pub version: u32,
    pub kid: &'a Kid,
    /// The crypto period it was supplied for.
    pub period: Option<Period>,
}

impl Sealed<'_> {
    fn binding(&self) -> Vec<u8> {
        binding::exported_key(self.place, self.version, self.kid, self.period)
    }
}

/// Why a key was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The bytes are not a usable public key.
    #[error("the recipient's public key is not a sound X25519 key")]
    Recipient,
    /// The sealed key was altered or moved, or is for another recipient.
    #[error(
        "the key does not open: it is sealed for another recipient, or it or what it belongs to was altered"
    )]
    Refused,
    /// The file with the private key cannot be read or made.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file does not hold such a key.
    #[error("{0} does not hold 32 bytes in base64, as `keymoot key recipient` writes them")]
    KeyFile(String),
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The public key of a recipient.
pub struct ExportRecipient(PublicKey);

impl ExportRecipient {
    /// Makes the recipient from the 32 bytes of an X25519 public key.
    ///
    /// # Errors
    /// [`SealError::Recipient`] when the bytes are not a usable public key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SealError> {
        let recipient = Self(PublicKey::from_bytes(bytes).map_err(|_| SealError::Recipient)?);
        // Anybody could open what is sealed for a point of small order. Sealing for one fails, so a trial
        // seal finds it here.
        single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &recipient.0,
            INFO,
            &[],
            &[],
        )
        .map_err(|_| SealError::Recipient)?;
        Ok(recipient)
    }

    /// Seals a key. Returns the encapsulated key, and the ciphertext with its tag.
    ///
    /// # Errors
    /// [`SealError::Recipient`] when the public key cannot be used after all.
    pub fn seal(&self, key: &ContentKey, what: Sealed<'_>) -> Result<(Vec<u8>, Vec<u8>), SealError> {
        let aad = what.binding();
        wiped_after(|| {
            let (encapsulated, ciphertext) = single_shot_seal::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &self.0,
                INFO,
                key.expose(),
                &aad,
            )
            .map_err(|_| SealError::Recipient)?;
            Ok((encapsulated.to_bytes().to_vec(), ciphertext.to_vec()))
        })
    }
}

/// The private key that opens keys sealed for its public key. The `hpke` crate zeroizes it on drop.
pub struct ExportKey {
    private: PrivateKey,
    public: [u8; 32],
}

impl ExportKey {
    /// Draws a key pair and writes the private key to a new secret file. Returns the bytes of the public key.
    ///
    /// # Errors
    /// [`SealError::File`] when there is such a file already, or it cannot be written.
    pub fn generate_into(path: &Path) -> Result<[u8; 32], SealError> {
        let bytes = Zeroizing::new(random_bytes::<32>()?);
        let key = Self::from_bytes(&*bytes).ok_or(SealError::Recipient)?;
        let text = Zeroizing::new(format!("{}\n", &*Zeroizing::new(STANDARD.encode(*bytes))));
        secret_file::create(path, text.as_bytes())?;
        Ok(key.public)
    }

    /// Reads the secret file that [`Self::generate_into`] wrote.
    ///
    /// # Errors
    /// [`SealError::File`] when it cannot be read or others can reach it, [`SealError::KeyFile`] when it is
    /// another kind of file.
    pub fn read(path: &Path) -> Result<Self, SealError> {
        let secret = secret_file::read(path)?;
        let bytes = STANDARD.decode(secret.expose().trim_ascii()).map(Zeroizing::new).ok();
        let key = bytes.and_then(|bytes| Self::from_bytes(&bytes));
        key.ok_or_else(|| SealError::KeyFile(path.display().to_string()))
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let private = PrivateKey::from_bytes(bytes).ok()?;
        let public = X25519HkdfSha256::sk_to_pk(&private).to_bytes();
        Some(Self { private, public: public.as_slice().try_into().ok()? })
    }

    /// The public key, which others use to seal keys for this one.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Opens a sealed key.
    ///
    /// # Errors
    /// [`SealError::Refused`] when it is for another recipient, or anything about it was altered.
    pub fn open(
        &self,
        encapsulated: &[u8],
        ciphertext: &[u8],
        what: Sealed<'_>,
    ) -> Result<ContentKey, SealError> {
        let encapsulated = Encapsulated::from_bytes(encapsulated).map_err(|_| SealError::Refused)?;
        let opened = single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.private,
            &encapsulated,
            INFO,
            ciphertext,
            &what.binding(),
        );
        let opened = Zeroizing::new(opened.map_err(|_| SealError::Refused)?.to_vec());
        ContentKey::from_slice(&opened).ok_or(SealError::Refused)
    }
}

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random_kid;
    use keymoot_model::{AccountId, ContentId, TrackName};

    fn pair() -> (ExportKey, ExportRecipient) {
        let key = ExportKey::from_bytes(&random_bytes::<32>().unwrap()).unwrap();
        let recipient = ExportRecipient::from_bytes(key.public()).unwrap();
        (key, recipient)
    }

    #[test]
    fn a_sealed_key_opens_for_its_recipient_alone_and_only_as_what_it_is() {
        let place = KeyPath {
            account: AccountId::new("a").unwrap(),
            content: ContentId::new("c").unwrap(),
            track: TrackName::default_track(),
        };
        let (key, kid) = (ContentKey::generate().unwrap(), random_kid().unwrap());
        let (own, recipient) = pair();
        let what = Sealed { place: &place, version: 2, kid: &kid, period: None };
        let (encapsulated, ciphertext) = recipient.seal(&key, what).unwrap();
        assert_eq!((encapsulated.len(), ciphertext.len()), (32, 32));
        assert!(own.open(&encapsulated, &ciphertext, what).unwrap().same_as(&key));
        assert!(pair().0.open(&encapsulated, &ciphertext, what).is_err());
        let other = KeyPath { content: ContentId::new("d").unwrap(), ..place.clone() };
        let period = Some(Period { length_s: 0, index: 0 });
        for wrong in [
            Sealed { place: &other, ..what },
            Sealed { version: 3, ..what },
            Sealed { kid: &random_kid().unwrap(), ..what },
            Sealed { period, ..what },
        ] {
            assert!(own.open(&encapsulated, &ciphertext, wrong).is_err(), "{wrong:?}");
        }
        for at in 0..32 {
            let (mut bent, mut altered) = (encapsulated.clone(), ciphertext.clone());
            bent[at] ^= 1;
            altered[at] ^= 1;
            assert!(own.open(&bent, &ciphertext, what).is_err());
            assert!(own.open(&encapsulated, &altered, what).is_err());
        }
    }

    #[test]
    fn a_key_file_reads_back_and_another_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recipient.key");
        let public = ExportKey::generate_into(&path).unwrap();
        assert_eq!(ExportKey::read(&path).unwrap().public(), &public);
        assert!(matches!(ExportKey::generate_into(&path), Err(SealError::File(_))), "it is not overwritten");
        let other = dir.path().join("other");
        secret_file::create(&other, b"no such key").unwrap();
        assert!(ExportKey::read(&other).unwrap_err().to_string().contains("keymoot key recipient"));
    }

    #[test]
    fn a_point_of_small_order_is_no_recipient() {
        assert!(matches!(ExportRecipient::from_bytes(&[0; 32]), Err(SealError::Recipient)));
    }
}
