//! Keys that sign notes, and their public halves as text.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::NoteSignature;

/// A signature of the whole note, by the log itself.
const ED25519_NOTE: u8 = 0x01;
/// A cosignature of version 1: with the time when the cosigner last saw the log.
const COSIGNATURE: u8 = 0x04;
const PRIVATE: &str = "PRIVATE+KEY+";

/// The text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key of the form NAME+HASH+KEY: {0}")]
pub struct KeyTextError(&'static str);

/// Whether a name can stand in a note.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

fn key_id(name: &str, kind: u8, public: &[u8]) -> [u8; 4] {
    let text = [name.as_bytes(), b"\n", &[kind], public].concat();
    let mut id = [0; 4];
    // A SHA-256 digest has 32 bytes.
    id.copy_from_slice(digest(&SHA256, &text).as_ref().get(..4).unwrap_or(&[0; 4]));
    id
}

/// The public key of a log: what it says is verified with this, both its checkpoints and its cosignatures of others'.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifierKey {
    name: String,
    public: [u8; 32],
}

impl VerifierKey {
    /// The key of the log of this origin.
    ///
    /// # Errors
    /// [`KeyTextError`] when the name cannot stand in a note.
    pub fn new(name: impl Into<String>, public: [u8; 32]) -> Result<Self, KeyTextError> {
        let name = name.into();
        match is_name(&name) {
            true => Ok(Self { name, public }),
            false => Err(KeyTextError("the name is empty, or has blanks or a `+`")),
        }
    }

    /// The log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// What a signature of the log itself names it by.
    pub(crate) fn note_id(&self) -> [u8; 4] {
        key_id(&self.name, ED25519_NOTE, &self.public)
    }

    /// What a cosignature names it by.
    pub(crate) fn cosignature_id(&self) -> [u8; 4] {
        key_id(&self.name, COSIGNATURE, &self.public)
    }

    /// The key as text for those who verify its cosignatures.
    pub fn cosigner_text(&self) -> String {
        self.text(COSIGNATURE)
    }

    fn text(&self, kind: u8) -> String {
        let id = HEXLOWER.encode(&key_id(&self.name, kind, &self.public));
        format!("{}+{id}+{}", self.name, STANDARD.encode([&[kind], self.public.as_slice()].concat()))
    }

    pub(super) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.public).verify(message, signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(ED25519_NOTE))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyTextError;

    /// Reads both forms of the text: that for notes, and that for cosignatures.
    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyTextError("there are no two `+`"));
        };
        let bytes = STANDARD.decode(key).map_err(|_| KeyTextError("the key is no base64"))?;
        let Some((kind @ &(ED25519_NOTE | COSIGNATURE), public)) = bytes.split_first() else {
            return Err(KeyTextError("it is no Ed25519 key"));
        };
        let public = public.try_into().map_err(|_| KeyTextError("an Ed25519 key has 32 bytes"))?;
        let read = Self::new(name, public)?;
        match HEXLOWER.encode(&key_id(name, *kind, &public)) == id {
            true => Ok(read),
            false => Err(KeyTextError("the hash is not that of name and key")),
        }
    }
}

impl TryFrom<String> for VerifierKey {
    type Error = KeyTextError;
    fn try_from(text: String) -> Result<Self, KeyTextError> {
        text.parse()
    }
}

impl From<VerifierKey> for String {
    fn from(key: VerifierKey) -> Self {
        key.to_string()
    }
}

/// The private key of a log.
pub struct LogKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.verifier)
    }
}

impl LogKey {
    /// A new key by this name, and its private text for [`Self::read`].
    ///
    /// # Errors
    /// [`KeyTextError`] when there is no randomness, or the name cannot stand in a note.
    pub fn generate(name: &str) -> Result<(Self, Zeroizing<String>), KeyTextError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(seed.as_mut_slice()).map_err(|_| KeyTextError("there is no randomness"))?;
        let key = Self::from_seed(name, seed.as_slice())?;
        let mut secret = Zeroizing::new([0; 33]);
        if let Some((kind, rest)) = secret.split_first_mut() {
            *kind = ED25519_NOTE;
            rest.copy_from_slice(seed.as_slice());
        }
        let id = HEXLOWER.encode(&key.verifier.note_id());
        let mut encoded = STANDARD.encode(secret.as_slice());
        let text = Zeroizing::new(format!("{PRIVATE}{name}+{id}+{encoded}"));
        encoded.zeroize();
        Ok((key, text))
    }

    /// Reads the private text of a key.
    ///
    /// # Errors
    /// [`KeyTextError`] when it is not that.
    pub fn read(text: &str) -> Result<Self, KeyTextError> {
        let rest = text.trim_end().strip_prefix(PRIVATE).ok_or(KeyTextError("it is no private key"))?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyTextError("there are too few `+`"));
        };
        let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| KeyTextError("the key is no base64"))?);
        let Some((&ED25519_NOTE, seed)) = bytes.split_first() else {
            return Err(KeyTextError("it is no Ed25519 key"));
        };
        let key = Self::from_seed(name, seed)?;
        match HEXLOWER.encode(&key.verifier.note_id()) == id {
            true => Ok(key),
            false => Err(KeyTextError("the hash is not that of name and key")),
        }
    }

    fn from_seed(name: &str, seed: &[u8]) -> Result<Self, KeyTextError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        let pair = pair.map_err(|_| KeyTextError("an Ed25519 seed has 32 bytes"))?;
        let public = pair.public_key().as_ref().try_into();
        let public = public.map_err(|_| KeyTextError("an Ed25519 key has 32 bytes"))?;
        Ok(Self { pair, verifier: VerifierKey::new(name, public)? })
    }

    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a note: `text` is whole lines.
    pub fn sign(&self, text: &str) -> NoteSignature {
        let signature = self.pair.sign(text.as_bytes()).as_ref().to_vec();
        NoteSignature { name: self.verifier.name.clone(), key_id: self.verifier.note_id(), signature }
    }

    /// Signs another log's checkpoint: this log's node saw it at `time_s`, seconds since 1970 UTC, and it goes on from
    /// all that the node saw of that log before.
    pub fn cosign(&self, text: &str, time_s: u64) -> NoteSignature {
        let signed = self.pair.sign(cosigned(text, time_s).as_bytes());
        let signature = [time_s.to_be_bytes().as_slice(), signed.as_ref()].concat();
        NoteSignature { name: self.verifier.name.clone(), key_id: self.verifier.cosignature_id(), signature }
    }
}

/// What a cosignature signs.
pub(super) fn cosigned(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}
