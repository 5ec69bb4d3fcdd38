//! Keymoot's signature on requests to license servers whose protocol has no signature.
//!
//! `Keymoot-Signature` is base64 of HMAC-SHA256 over the text of `Keymoot-License-Data`, a line
//! end, and the body. By checking it, a server knows that key and terms come from Keymoot.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq_proto::http::header::{HeaderName, HeaderValue};

use keymoot_crypto::SecretBytes;
use keymoot_outgoing::OutgoingRequest;

/// The header for data that the DRM system's own request has no field for.
pub(crate) const LICENSE_DATA: HeaderName = HeaderName::from_static("keymoot-license-data");
/// The header that carries the signature.
pub const SIGNATURE: HeaderName = HeaderName::from_static("keymoot-signature");

/// Signs requests.
pub struct RequestSigner(hmac::Key);

impl RequestSigner {
    /// A signer with the bytes of this secret as its key.
    pub fn new(secret: &SecretBytes) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.expose()))
    }

    /// Adds the signature over `license_data` and the body.
    pub fn sign(&self, request: &mut OutgoingRequest, license_data: &str) {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(license_data.as_bytes());
        context.update(b"\n");
        context.update(&request.body);
        let text = STANDARD.encode(context.sign());
        if let Ok(mut value) = HeaderValue::try_from(text) {
            value.set_sensitive(true);
            request.headers.insert(SIGNATURE, value);
        }
    }
}

impl std::fmt::Debug for RequestSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestSigner(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn data_and_body_are_both_covered() {
        let signer = RequestSigner::new(&SecretBytes::new(b"key".to_vec()));
        let signed = |data: &str, body: &[u8]| {
            let mut request = OutgoingRequest::json(Zeroizing::new(body.to_vec()));
            signer.sign(&mut request, data);
            request.headers[SIGNATURE].to_str().unwrap().to_owned()
        };
        // HMAC-SHA256("key", "data
        // body"), computed with another library.
        assert_eq!(signed("data", b"body"), "YVVYM2/6v7f7ffvCzoawPqWKE1N0IMtdvJQcgEAkP6s=");
        assert_ne!(signed("data", b"bodz"), signed("data", b"body"));
        assert_ne!(signed("datb", b"body"), signed("data", b"body"));
    }
}
