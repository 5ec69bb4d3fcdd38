//! A note: a text, and the signatures under it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::VerifierKey;
use super::key::{cosigned, is_name};

const SIGNATURE: &str = "\u{2014} ";

/// Why a text is no note, or not signed by whom it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The form is another one.
    #[error("this is no signed note: {0}")]
    Form(&'static str),
    /// Too long for a note.
    #[error("a note has at most {max} bytes", max = SignedNote::BYTES_MAX)]
    TooLong,
    /// No signature by that key.
    #[error("the note is not signed by {0}")]
    NotSigned(String),
    /// A signature that names the key and was not made with it.
    #[error("the signature of {0} under the note does not hold: the note was altered or forged")]
    Wrong(String),
}

/// One signature under a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Who signed.
    pub name: String,
    /// The beginning of the hash of name and key, which tells keys of one name apart.
    pub key_id: [u8; 4],
    /// Its bytes; of a cosignature with the time before it.
    pub signature: Vec<u8>,
}

impl NoteSignature {
    /// Reads one line.
    ///
    /// # Errors
    /// [`NoteError::Form`] when it is none.
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let form = NoteError::Form("a signature line is a dash, a name and base64");
        let Some((name, base64)) = line.strip_prefix(SIGNATURE).and_then(|rest| rest.split_once(' ')) else {
            return Err(form);
        };
        let bytes = STANDARD.decode(base64).map_err(|_| form.clone())?;
        match bytes.split_first_chunk() {
            Some((key_id, signature)) if is_name(name) && !signature.is_empty() => {
                Ok(Self { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
            }
            _ => Err(form),
        }
    }
}

impl fmt::Display for NoteSignature {
    /// One line, without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.as_slice(), &self.signature].concat();
        write!(f, "{SIGNATURE}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text with signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// The longest note that is read, in bytes.
    pub const BYTES_MAX: usize = 64 * 1024;
    /// The most signatures under one.
    pub const SIGNATURES_MAX: usize = 100;

    /// A text of whole lines without a signature.
    ///
    /// # Errors
    /// [`NoteError::Form`] when it cannot be a note's.
    pub fn unsigned(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        if !text.ends_with('\n') || text.contains(|c: char| c.is_control() && c != '\n') {
            return Err(NoteError::Form("its text is whole lines without control characters"));
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note. Nothing is verified.
    ///
    /// # Errors
    /// [`NoteError`] when it is none.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > Self::BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        // The last blank line, because the text may have some.
        let Some(end) = note.rfind("\n\n") else {
            return Err(NoteError::Form("there is no blank line before its signatures"));
        };
        let (text, signatures) = note.split_at(end + 1);
        let mut read = Self::unsigned(text)?;
        let lines = signatures.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.ok_or(NoteError::Form("its last line has no end"))?;
        read.signatures = lines.split('\n').map(NoteSignature::parse).collect::<Result<_, _>>()?;
        match read.signatures.len() {
            1..=Self::SIGNATURES_MAX => Ok(read),
            _ => Err(NoteError::Form("it has more signatures than a note may have")),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature, in place of one by the same key.
    pub fn add(&mut self, signature: NoteSignature) {
        let same = |old: &NoteSignature| old.name == signature.name && old.key_id == signature.key_id;
        self.signatures.retain(|old| !same(old));
        if self.signatures.len() < Self::SIGNATURES_MAX {
            self.signatures.push(signature);
        }
    }

    /// Checks the signature of the log whose key this is.
    ///
    /// # Errors
    /// [`NoteError`] when there is none, or it does not hold.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteError> {
        let signature = self.by(key, key.note_id())?;
        match key.holds(self.text.as_bytes(), &signature.signature) {
            true => Ok(()),
            false => Err(NoteError::Wrong(key.name().to_owned())),
        }
    }

    /// Checks a cosignature, and gives the time that it was made at: seconds since 1970 UTC.
    ///
    /// # Errors
    /// [`NoteError`] when there is none, or it does not hold.
    pub fn verify_cosignature(&self, key: &VerifierKey) -> Result<u64, NoteError> {
        let signature = self.by(key, key.cosignature_id())?;
        let parts = signature.signature.split_first_chunk::<8>();
        let (time_s, bytes) = parts.ok_or_else(|| NoteError::Wrong(key.name().to_owned()))?;
        let time_s = u64::from_be_bytes(*time_s);
        match key.holds(cosigned(&self.text, time_s).as_bytes(), bytes) {
            true => Ok(time_s),
            false => Err(NoteError::Wrong(key.name().to_owned())),
        }
    }

    fn by(&self, key: &VerifierKey, id: [u8; 4]) -> Result<&NoteSignature, NoteError> {
        let found =
            self.signatures.iter().find(|signature| signature.name == key.name() && signature.key_id == id);
        found.ok_or_else(|| NoteError::NotSigned(key.name().to_owned()))
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}
