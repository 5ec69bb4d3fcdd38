//! Tokens that admit one new node to a cluster: a public id, a secret, and the fingerprint of the authority
//! that members must prove, so that the new node shows its secret to no other server.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use keymoot_model::ClusterName;

use super::{RandomError, random_bytes};

/// The prefix of every token; the number is the version of the format.
const PREFIX: &str = "kmjoin1";
/// The domain that the digest of a secret starts with, so that it equals no digest made for another purpose.
const DIGEST_DOMAIN: &[u8] = b"keymoot/join-token/1";

/// The secret half of a token. It is sent once, to a member whose authority was checked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct JoinSecret([u8; 32]);

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(redacted)")
    }
}

impl JoinSecret {
    /// The digest of the secret, which the cluster stores.
    pub fn digest(&self, id: &[u8; 8]) -> [u8; 32] {
        Sha256::new().chain_update(DIGEST_DOMAIN).chain_update(id).chain_update(self.0).finalize().into()
    }
}

/// A token as the operator of the new node receives it.
#[derive(Debug)]
pub struct JoinToken {
    /// The cluster that it gives access to.
    pub cluster: ClusterName,
    pub id: [u8; 8],
    pub secret: JoinSecret,
    /// SHA-256 of the certificate of the cluster's authority.
    pub authority: [u8; 32],
}

/// The text is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no join token: it must be copied whole, as `keymoot cluster token create` printed it")]
pub struct JoinTokenError;

impl JoinToken {
    /// Draws a new token.
    ///
    /// # Errors
    /// [`RandomError`] when the operating system's source fails.
    pub fn generate(cluster: ClusterName, authority: [u8; 32]) -> Result<Self, RandomError> {
        Ok(Self { cluster, id: random_bytes()?, secret: JoinSecret(random_bytes()?), authority })
    }

    /// The token as text. It gives access to the cluster: show it once, to the operator, and nowhere else.
    pub fn expose(&self) -> Zeroizing<String> {
        let bytes = Zeroizing::new([&self.id[..], &self.secret.0, &self.authority].concat());
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        Zeroizing::new(format!("{PREFIX}.{}.{}", self.cluster, encoded.as_str()))
    }

    /// The digest of the secret, which the cluster stores.
    pub fn digest(&self) -> [u8; 32] {
        self.secret.digest(&self.id)
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let mut parts = text.trim().split('.');
        let (Some(PREFIX), Some(cluster), Some(encoded), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JoinTokenError);
        };
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JoinTokenError)?);
        let (id, rest) = bytes.split_first_chunk::<8>().ok_or(JoinTokenError)?;
        let (secret, rest) = rest.split_first_chunk::<32>().ok_or(JoinTokenError)?;
        Ok(Self {
            cluster: ClusterName::new(cluster).map_err(|_| JoinTokenError)?,
            id: *id,
            secret: JoinSecret(*secret),
            authority: rest.try_into().map_err(|_| JoinTokenError)?,
        })
    }
}

/// The id of a token as people read and type it.
pub fn token_id_text(id: &[u8; 8]) -> String {
    base16ct::lower::encode_string(id)
}

/// Reads back [`token_id_text`].
pub fn token_id_of(text: &str) -> Option<[u8; 8]> {
    base16ct::mixed::decode_vec(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken::generate(ClusterName::new("moot-1").unwrap(), [7; 32]).unwrap()
    }

    #[test]
    fn a_token_reads_back_from_its_text_and_from_nothing_else() {
        let token = token();
        let text = token.expose();
        let back: JoinToken = format!(" {}\n", text.as_str()).parse().unwrap();
        assert_eq!((back.id, &back.secret, back.authority), (token.id, &token.secret, [7; 32]));
        assert_eq!(back.cluster.as_str(), "moot-1");
        assert_eq!(back.digest(), token.digest());
        let short = &text[..text.len() - 1];
        for bad in
            ["", "kmjoin1", "kmjoin1.moot.", "kmjoin2.moot.AAAA", short, &format!("{}.x", text.as_str())]
        {
            assert_eq!(bad.parse::<JoinToken>().err(), Some(JoinTokenError), "{bad}");
        }
    }

    #[test]
    fn a_secret_shows_in_no_debug_text_and_its_digest_depends_on_the_id() {
        let token = token();
        assert!(!format!("{token:?}").contains(&format!("{:?}", token.secret.0)));
        assert!(format!("{token:?}").contains("redacted"));
        assert_ne!(token.secret.digest(&[1; 8]), token.secret.digest(&[2; 8]));
    }

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = [0, 1, 2, 3, 4, 5, 6, 255];
        assert_eq!(token_id_text(&id), "00010203040506ff");
        assert_eq!(token_id_of("00010203040506ff"), Some(id));
        for bad in ["", "0", "+0010203040506ff", "00010203040506fg"] {
            assert_eq!(token_id_of(bad), None, "{bad}");
        }
    }
}
