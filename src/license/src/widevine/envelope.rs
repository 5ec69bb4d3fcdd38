//! The envelope of Google's Widevine APIs: the request's bytes in base64 with a signature over
//! them, and the response of the license service.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::upstream::{self, Fault};
use keymoot_crypto::AesSigner;
use keymoot_outgoing::OutgoingResponse;

/// The signer of requests.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The name under which the license server knows the signer.
    pub name: String,
    pub key: Arc<AesSigner>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    request: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<&'a str>,
}

/// The body with the inner request and its signature.
pub(super) fn seal(inner: &[u8], signer: Option<&Signer>) -> Zeroizing<Vec<u8>> {
    let request = Zeroizing::new(STANDARD.encode(inner));
    let envelope = Envelope {
        request: &request,
        signature: signer.map(|signer| STANDARD.encode(signer.key.sign(inner))),
        signer: signer.map(|signer| signer.name.as_str()),
    };
    // Texts can always be written as JSON. The buffer holds the whole body from the start, because
    // growing would leave a copy behind.
    let mut body = Zeroizing::new(Vec::with_capacity(request.len() + 512));
    if serde_json::to_writer(&mut *body, &envelope).is_err() {
        body.clear();
    }
    body
}

#[derive(Deserialize)]
struct EnvelopeAnswer {
    status: String,
    #[serde(default)]
    license: Option<Zeroizing<String>>,
}

/// The license in a response of the license service.
///
/// # Errors
/// [`Fault`] when there is no license; every status but `OK` is a refusal, except those that say
/// the server is at fault.
pub fn read_answer(response: &OutgoingResponse) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let body = upstream::body(response)?;
    let answer: EnvelopeAnswer =
        serde_json::from_slice(body).map_err(|_| Fault::OutOfProtocol("no status in JSON"))?;
    match answer.status.as_str() {
        "OK" => {}
        "INTERNAL_ERROR" | "DRM_DEVICE_CERTIFICATE_REVOCATION_LIST_EXPIRED" => {
            return Err(Fault::Failed(upstream::status_word(&answer.status)));
        }
        other => return Err(Fault::Refused(upstream::status_word(other))),
    }
    let license = answer.license.as_deref().map(|text| STANDARD.decode(text).map(Zeroizing::new));
    match license {
        Some(Ok(license)) if !license.is_empty() => Ok(license),
        _ => Err(Fault::OutOfProtocol("status OK without a license in base64")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(status: u16, body: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
        read_answer(&OutgoingResponse { status, body: Zeroizing::new(body.as_bytes().to_vec()) })
    }

    #[test]
    fn the_envelope_holds_the_bytes_that_its_signature_covers() {
        let secret = [&[b'a'; 64][..], b":", &[b'b'; 32]].concat();
        let signer = Signer { name: "studio".to_owned(), key: Arc::new(AesSigner::parse(&secret).unwrap()) };
        let sealed = seal(b"{\"payload\":\"\"}", Some(&signer));
        let envelope: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        let decode = |member: &str| STANDARD.decode(envelope[member].as_str().unwrap()).unwrap();
        assert_eq!(decode("request"), b"{\"payload\":\"\"}");
        assert!(signer.key.verify(b"{\"payload\":\"\"}", &decode("signature")));
        assert_eq!(envelope["signer"], "studio");
        assert_eq!(&**seal(b"x", None), br#"{"request":"eA=="}"#);
    }

    #[test]
    fn a_license_is_taken_only_from_a_sound_answer() {
        assert_eq!(read(200, r#"{"status":"OK","license":"AQI=","more":{}}"#).unwrap().as_slice(), [1, 2]);
        for lie in [
            "",
            "[]",
            "{}",
            r#"{"status":"OK"}"#,
            r#"{"status":"OK","license":""}"#,
            r#"{"status":"OK","license":"?"}"#,
        ] {
            assert!(matches!(read(200, lie), Err(Fault::OutOfProtocol(_))), "{lie}");
        }
        let refused = read(200, r#"{"status":"SIGNATURE_FAILED","license":"AQI="}"#);
        assert_eq!(refused, Err(Fault::Refused("SIGNATURE_FAILED".to_owned())));
        assert!(matches!(read(200, r#"{"status":"INTERNAL_ERROR"}"#), Err(Fault::Failed(_))));
        assert!(matches!(read(500, r#"{"status":"OK","license":"AQI="}"#), Err(Fault::Failed(_))));
        assert!(matches!(read(400, ""), Err(Fault::Refused(_))));
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd_to_be_read(body: Vec<u8>) {
            let _read = read_answer(&OutgoingResponse { status: 200, body: Zeroizing::new(body) }).is_ok();
        }
    }
}
