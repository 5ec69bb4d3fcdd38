//! What tells a witness who holds a master key, as text in a configuration: `ID=PUBLICKEY`.

use std::fmt;
use std::str::FromStr;

use keymoot_model::{Fingerprint, MasterKeyId, MasterKeyVerifier};
use serde::{Deserialize, Serialize};

/// A master key's id, and the public key that is derived from it in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct VerifierText(pub MasterKeyVerifier);

/// The text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be ID=PUBLICKEY, the id of a master key and 64 hexadecimal digits, as keymoot cluster join writes it"
)]
pub struct VerifierTextError;

impl fmt::Display for VerifierText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.0.master_key, Fingerprint::from_bytes(self.0.public_key))
    }
}

impl FromStr for VerifierText {
    type Err = VerifierTextError;

    fn from_str(text: &str) -> Result<Self, VerifierTextError> {
        let (id, key) = text.split_once('=').filter(|(id, _)| !id.is_empty()).ok_or(VerifierTextError)?;
        let key: Fingerprint = key.parse().map_err(|_| VerifierTextError)?;
        let (master_key, public_key) = (MasterKeyId(id.to_owned()), *key.as_bytes());
        Ok(Self(MasterKeyVerifier { master_key, public_key }))
    }
}

impl From<VerifierText> for String {
    fn from(text: VerifierText) -> Self {
        text.to_string()
    }
}

impl TryFrom<String> for VerifierText {
    type Error = VerifierTextError;

    fn try_from(text: String) -> Result<Self, VerifierTextError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_reads_back_from_its_text_and_from_nothing_else() {
        let text = format!("mk1={}", "0a".repeat(32));
        let read: VerifierText = text.parse().unwrap();
        assert_eq!((read.to_string(), read.0.public_key), (text.clone(), [10; 32]));
        for bad in ["", "mk1", "mk1=", &text[..text.len() - 1], &text[3..], &format!("{text}0a")] {
            assert_eq!(bad.parse::<VerifierText>(), Err(VerifierTextError), "{bad}");
        }
    }
}
