//! Signing requests by RFC 9421: the client's half of what [`super::HttpSignature`] reads.
//!
//! A signature covers the method, the host, path and query as they were asked for, and the body's
//! digest when there is a body. It says when it was made and until when it is good, and carries a
//! nonce that the caller must never use twice. The scheme is left out, so that the signature holds
//! through a proxy that ends TLS.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::Envelope;
use super::http_signature::TAG;
use super::signature_base::{Cover, base, parameters_text};
use keymoot_crypto::SecretBytes;
use keymoot_model::Scheme;

/// For how long a signature is good. Servers allow for clocks that differ beyond that.
const LIFETIME_S: u64 = 120;
/// The shortest shared secret, as the server demands it.
const HMAC_BYTES_MIN: usize = 16;
/// The label of the signature.
const LABEL: &str = "sig";

/// Why bytes are no key for message signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageKeyError {
    /// It is PEM, but holds no Ed25519 private key.
    #[error("it holds no Ed25519 private key in PKCS#8 (openssl genpkey -algorithm ed25519 makes one)")]
    NotEd25519,
    /// It is a shared secret that could be guessed.
    #[error("a shared secret has at least {HMAC_BYTES_MIN} bytes; a private key is in PEM")]
    Short,
}

/// A key that signs requests.
pub enum MessageKey {
    /// A private key, whose public half the server knows.
    Ed25519(Box<Ed25519KeyPair>),
    /// A secret that the server knows too.
    HmacSha256(Box<hmac::Key>),
}

/// The headers that sign a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSignature {
    /// `Signature-Input`.
    pub signature_input: String,
    /// `Signature`.
    pub signature: String,
}

impl MessageKey {
    /// Reads what a key file holds: an Ed25519 private key in PEM, or else a shared secret.
    ///
    /// # Errors
    /// [`MessageKeyError`], which says what the file must hold.
    pub fn read(text: &SecretBytes) -> Result<Self, MessageKeyError> {
        if text.expose().trim_ascii_start().starts_with(b"-----BEGIN") {
            let der =
                PrivatePkcs8KeyDer::from_pem_slice(text.expose()).map_err(|_| MessageKeyError::NotEd25519)?;
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
            return pair.map(|pair| Self::Ed25519(Box::new(pair))).map_err(|_| MessageKeyError::NotEd25519);
        }
        if text.len() < HMAC_BYTES_MIN {
            return Err(MessageKeyError::Short);
        }
        Ok(Self::HmacSha256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, text.expose()))))
    }

    /// The scheme its signatures are of.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Ed25519(_) => Scheme::HttpEd25519,
            Self::HmacSha256(_) => Scheme::HttpHmacSha256,
        }
    }

    /// Signs the request, whose `content-digest` is among its headers when it has a body. `None` when
    /// the name of the key or the nonce cannot stand in a header.
    pub fn sign(
        &self,
        key_id: &str,
        envelope: &Envelope,
        nonce: &str,
        created_s: u64,
    ) -> Option<RequestSignature> {
        let digest = envelope.header("content-digest").map(|_| "content-digest");
        let components = ["@method", "@authority", "@path", "@query"].into_iter().chain(digest);
        let alg = match self {
            Self::Ed25519(_) => "ed25519",
            Self::HmacSha256(_) => "hmac-sha256",
        };
        let covered = Cover::of(components.map(|name| (name, false)))?
            .seconds("created", created_s)?
            .seconds("expires", created_s.checked_add(LIFETIME_S)?)?
            .text("nonce", nonce)?
            .text("keyid", key_id)?
            .text("alg", alg)?
            .text("tag", TAG)?
            .into_list();
        let base = base(&covered, envelope).ok()?;
        let signature = match self {
            Self::Ed25519(pair) => STANDARD.encode(pair.sign(base.as_bytes())),
            Self::HmacSha256(key) => STANDARD.encode(hmac::sign(key, base.as_bytes())),
        };
        let parameters = parameters_text(&covered)?;
        Some(RequestSignature {
            signature_input: format!("{LABEL}={parameters}"),
            signature: format!("{LABEL}=:{signature}:"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::signature_base::tests::rfc_request;
    use super::super::{HttpSignature, SignatureWindow, content_digest};
    use super::*;

    /// The private key of RFC 9421, appendix B.1.4.
    const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n";
    const ED25519_PUBLIC: &str = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";

    fn key(text: &str) -> Result<MessageKey, MessageKeyError> {
        MessageKey::read(&SecretBytes::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn the_server_reads_and_verifies_what_either_key_signs() {
        let public = STANDARD.decode(ED25519_PUBLIC).unwrap();
        let secret = "a shared secret of some length";
        for (text, verifying) in [(ED25519_PRIVATE, public.as_slice()), (secret, secret.as_bytes())] {
            let key = key(text).unwrap();
            let mut envelope = rfc_request();
            envelope.headers.push(("content-digest".into(), content_digest::of(&envelope.body)));
            let signed =
                key.sign("167/packager", &envelope, "0123456789abcdef", envelope.received_at_s).unwrap();
            envelope.headers.push(("signature-input".into(), signed.signature_input));
            envelope.headers.push(("signature".into(), signed.signature));
            let read = HttpSignature::read(&envelope, SignatureWindow::default()).unwrap().unwrap();
            assert_eq!(read.scheme, Some(key.scheme()));
            assert!(read.verify(key.scheme(), verifying) && !read.verify(key.scheme(), &[7; 32]));
            assert_eq!(read.name.credential.as_deref(), Some("packager"));
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_it_must_be() {
        assert_eq!(key("short").err(), Some(MessageKeyError::Short));
        for pem in ["-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "-----BEGIN nonsense"] {
            assert_eq!(key(pem).err(), Some(MessageKeyError::NotEd25519));
        }
    }
}
