//! Verification that an answer comes from the key server (key exchange 5.6.1).
//!
//! Over TLS the certificate proves it. Beyond that, or without TLS, a client can demand signed
//! answers. It then uses no answer whose signature is missing or wrong, refusals included.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::request::Request;
use super::service_point::ServicePoint;
use super::signer::{SignError, random_nonce};
use super::transport::Answer;
use keymoot_protocol::{AnswerProofError, ReceivedAnswer, accept_signature, verify_answer};

/// The public key that verifies a key server's answers; one for all nodes of a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ServerKey([u8; 32]);

/// The text is not the public key of a key server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key server's public key is base64 of 32 bytes, as `GET /capabilities` shows it at signed_answers.public_key"
)]
pub struct ServerKeyError;

impl FromStr for ServerKey {
    type Err = ServerKeyError;

    fn from_str(text: &str) -> Result<Self, ServerKeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| ServerKeyError)?;
        bytes.try_into().map(Self).map_err(|_| ServerKeyError)
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKey({self})")
    }
}

/// The proof that an answer needs to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerProof {
    /// No proof beyond the connection: with TLS, the server's certificate.
    #[default]
    Connection,
    /// A signature by the key that the service point announces. The announcement is trusted over
    /// TLS and on this machine; elsewhere the key must be known, as with [`Self::SignedBy`].
    Signed,
    /// A signature by this key, whatever the connection.
    SignedBy(ServerKey),
}

/// A request for a signed answer, and the values that the signature must cover.
pub(super) struct AskedForProof {
    key: ServerKey,
    nonce: String,
}

impl AskedForProof {
    /// Makes the request demand an answer signed by this key.
    pub(super) fn of(key: ServerKey, request: &mut Request) -> Result<Self, SignError> {
        let nonce = random_nonce().ok_or_else(|| SignError("there is no randomness for a nonce".into()))?;
        let accept =
            accept_signature(&nonce).ok_or_else(|| SignError("the nonce cannot be written".into()))?;
        request.headers.push(("accept-signature", accept));
        Ok(Self { key, nonce })
    }

    /// Checks that this key signed this answer to this request.
    pub(super) fn check(
        &self,
        point: &ServicePoint,
        request: &Request,
        answer: &Answer,
    ) -> Result<(), AnswerProofError> {
        let received = ReceivedAnswer { status: answer.status, headers: &answer.headers, body: &answer.body };
        verify_answer(&self.key.0, &self.nonce, &request.envelope(point), &received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_anything_else_says_what_it_must_be() {
        let key: ServerKey = " JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n".parse().unwrap();
        assert_eq!(key.to_string().parse(), Ok(key));
        for text in ["", "AAAA", "not base64"] {
            assert!(text.parse::<ServerKey>().unwrap_err().to_string().contains("32 bytes"));
        }
    }
}
