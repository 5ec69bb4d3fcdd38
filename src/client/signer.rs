//! How a request proves that its sender holds the account's credential.

use super::request::Request;
use super::service_point::ServicePoint;
use crate::auth::Signature;
use crate::crypto::SecretBytes;

/// A request could not be signed. The text never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be signed: {0}")]
pub struct SignError(pub String);

/// A scheme of authentication, with its credential.
pub trait Signer: Send + Sync {
    /// Adds to the request what proves it: a parameter of the query, or headers. It is called anew
    /// for each attempt, so that a scheme may cover the service point, the time and a nonce.
    ///
    /// # Errors
    /// [`SignError`] when the credential cannot sign this request.
    fn sign(&self, request: &mut Request, point: &ServicePoint) -> Result<(), SignError>;
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
    fn sign(&self, request: &mut Request, _: &ServicePoint) -> Result<(), SignError> {
        let signature = Signature::sign(self.key.expose(), request.custom_data());
        request.query.push(("signature", signature.to_base64()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Method;
    use crate::drm::EncryptionProvider;
    use crate::model::{AccountId, ContentId};

    #[test]
    fn a_known_request_gets_its_known_signature_percent_encoded() {
        let (account, content) = (AccountId::new("167").unwrap(), ContentId::new("a.mp4").unwrap());
        let provider = EncryptionProvider::CencWidevine;
        let mut request = Request::new(Method::Post, provider, ("OVP", &account), &content, None).unwrap();
        let signer = UdrmSha1::new(SecretBytes::new(b"test-signing-key".to_vec()));
        signer.sign(&mut request, &"http://a".parse().unwrap()).unwrap();
        assert_eq!(request.target(), "/cenc/widevine/encryption?signature=h405UlVg8QQxG%2FHGOJlJs4EY3T0%3D");
    }
}
