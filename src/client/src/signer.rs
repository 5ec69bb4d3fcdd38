//! Signing requests: proving that the sender holds the account's credential.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::request::Request;
use super::service_point::ServicePoint;
use keymoot_crypto::{SecretBytes, random_bytes};
use keymoot_model::{AccountId, Scheme};
use keymoot_protocol::{MessageKey, Signature, content_digest};

/// The request could not be signed. The text never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be signed: {0}")]
pub struct SignError(pub String);

/// An authentication scheme with its credential.
pub trait Signer: Send + Sync {
    /// The scheme, which negotiation compares with those of the server.
    fn scheme(&self) -> Scheme;

    /// Adds the proof to the request: a parameter of the query, or headers. It is called anew for
    /// each attempt, so that a scheme may cover the service point, the time (seconds since 1970
    /// UTC) and a nonce.
    ///
    /// # Errors
    /// [`SignError`] when the credential cannot sign this request.
    fn sign(&self, request: &mut Request, point: &ServicePoint, now_s: u64) -> Result<(), SignError>;
}

/// uDRM 2.3.1: `signature = Base64(SHA1(key + custom data))`.
pub struct UdrmSha1 {
    key: SecretBytes,
}

impl UdrmSha1 {
    /// Signs with the text bytes of an account's encryption signing key.
    pub fn new(key: SecretBytes) -> Self {
        Self { key }
    }
}

impl Signer for UdrmSha1 {
    fn scheme(&self) -> Scheme {
        Scheme::UdrmSha1
    }

    fn sign(&self, request: &mut Request, _: &ServicePoint, _: u64) -> Result<(), SignError> {
        let signature = Signature::sign(self.key.expose(), request.custom_data());
        request.query.push(("signature", signature.to_base64()));
        Ok(())
    }
}

/// HTTP Message Signatures (RFC 9421) over method, address and body, each with a nonce of its own.
pub struct MessageSignature {
    key: MessageKey,
    key_id: String,
}

impl MessageSignature {
    /// Signs with this key, as the account's credential `credential`; without a name, as any
    /// credential of the account.
    pub fn new(key: MessageKey, account: &AccountId, credential: Option<&str>) -> Self {
        let key_id = match credential {
            Some(credential) => format!("{account}/{credential}"),
            None => account.to_string(),
        };
        Self { key, key_id }
    }
}

impl Signer for MessageSignature {
    fn scheme(&self) -> Scheme {
        self.key.scheme()
    }

    fn sign(&self, request: &mut Request, point: &ServicePoint, now_s: u64) -> Result<(), SignError> {
        if !request.body().is_empty() {
            let digest = content_digest::of(request.body());
            request.headers.push(("content-digest", digest));
        }
        let nonce = random_nonce().ok_or_else(|| SignError("there is no randomness for a nonce".into()))?;
        let signed = self
            .key
            .sign(&self.key_id, &request.envelope(point), &nonce, now_s)
            .ok_or_else(|| SignError("the credential's name must be plain ASCII".into()))?;
        request.headers.push(("signature-input", signed.signature_input));
        request.headers.push(("signature", signed.signature));
        Ok(())
    }
}

/// The certificate of the TLS connection: requests over it need no further proof.
pub struct ClientCertificateIdentity;

impl Signer for ClientCertificateIdentity {
    fn scheme(&self) -> Scheme {
        Scheme::MutualTls
    }

    fn sign(&self, _: &mut Request, _: &ServicePoint, _: u64) -> Result<(), SignError> {
        Ok(())
    }
}

/// A text that was never used before; `None` when the operating system's randomness fails.
pub(super) fn random_nonce() -> Option<String> {
    random_bytes::<18>().ok().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;
    use crate::request::Wanted;
    use keymoot_drm::EncryptionProvider;
    use keymoot_model::ContentId;
    use keymoot_protocol::{HttpSignature, SignatureWindow};

    fn request(method: Method) -> Request {
        let (account, content) = (AccountId::new("167").unwrap(), ContentId::new("a.mp4").unwrap());
        let whose = ("OVP", &account);
        Request::new(
            method,
            (EncryptionProvider::CencWidevine, None),
            whose,
            &content,
            Wanted::Key(None),
            None,
        )
        .unwrap()
    }

    #[test]
    fn a_known_request_gets_its_known_signature_percent_encoded() {
        let mut request = request(Method::Post);
        let signer = UdrmSha1::new(SecretBytes::new(b"test-signing-key".to_vec()));
        signer.sign(&mut request, &"http://a".parse().unwrap(), 0).unwrap();
        assert_eq!(request.target(), "/cenc/widevine/encryption?signature=h405UlVg8QQxG%2FHGOJlJs4EY3T0%3D");
    }

    #[test]
    fn the_server_verifies_a_signed_request_with_and_without_body_and_never_sees_a_nonce_twice() {
        let secret = b"a shared secret of some length";
        let key = MessageKey::read(&SecretBytes::new(secret.to_vec())).unwrap();
        let signer = MessageSignature::new(key, &AccountId::new("167").unwrap(), Some("packager"));
        let point = "https://Keys.Example:443/moot".parse().unwrap();
        let mut nonces = std::collections::HashSet::new();
        for method in [Method::Get, Method::Post, Method::Put, Method::Delete, Method::Get] {
            let mut request = request(method);
            signer.sign(&mut request, &point, 1_800_000_000).unwrap();
            let mut envelope = request.envelope(&point);
            assert_eq!(
                (envelope.authority.as_str(), envelope.path.as_str()),
                ("keys.example", "/moot/cenc/widevine/encryption")
            );
            envelope.body = bytes::Bytes::copy_from_slice(request.body());
            envelope.received_at_s = 1_800_000_010;
            let read = HttpSignature::read(&envelope, SignatureWindow::default()).unwrap().unwrap();
            assert!(read.verify(Scheme::HttpHmacSha256, secret), "{method:?}");
            assert!(nonces.insert(read.nonce));
        }
    }
}
