//! PlayReady licenses, from a PlayReady license server.
//!
//! The client's challenge is forwarded unchanged, because the client has signed it. The server also
//! needs keys and the policy's protection levels; they travel in the header `Keymoot-License-Data`:
//! base64 of a JSON object, which a rights handler on the server reads.

pub mod challenge;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use ureq_proto::http::header::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::request_signer::{LICENSE_DATA, RequestSigner};
use super::system::{Challenge, ChallengeError, LicenseFuture, LicenseSystem, WantedKeys};
use super::terms::playready::{self as form, license_terms, track_terms};
use super::upstream::{self, Fault, Upstream};
use super::{LicenseTerms, LicensedKey};
use keymoot_model::{AccountId, ContentId, Policy};
use keymoot_outgoing::{OutgoingRequest, OutgoingResponse};

pub use challenge::{PlayReadyChallengeError, kids};

/// The SOAP operation of a license request.
const SOAP_ACTION: &str = "\"http://schemas.microsoft.com/DRM/2007/03/protocols/AcquireLicense\"";

/// Requests licenses from PlayReady servers.
pub struct PlayReadyServers {
    upstream: Upstream,
    signer: Option<RequestSigner>,
}

#[derive(Serialize)]
struct LicenseData<'a> {
    version: u32,
    account_id: &'a AccountId,
    content_id: &'a ContentId,
    keys: Vec<Key<'a>>,
    terms: form::PlayReadyLicenseTerms,
}

#[derive(Serialize)]
struct Key<'a> {
    /// The key id as a GUID in PlayReady's text form.
    key_id: String,
    key: Zeroizing<String>,
    track: &'a str,
    protection: form::PlayReadyTrackTerms,
}

impl PlayReadyServers {
    /// These servers; requests are signed when there is a signer.
    pub fn new(upstream: Upstream, signer: Option<RequestSigner>) -> Self {
        Self { upstream, signer }
    }

    fn request(&self, challenge: &[u8], data: &str) -> OutgoingRequest {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("soapaction"), HeaderValue::from_static(SOAP_ACTION));
        if let Ok(mut value) = HeaderValue::from_str(data) {
            value.set_sensitive(true);
            headers.insert(LICENSE_DATA, value);
        }
        let body = Zeroizing::new(challenge.to_vec());
        let mut request = OutgoingRequest { content_type: "text/xml; charset=utf-8", headers, body };
        if let Some(signer) = &self.signer {
            signer.sign(&mut request, data);
        }
        request
    }
}

impl LicenseSystem for PlayReadyServers {
    fn read<'c>(&self, challenge: &'c [u8]) -> Result<Challenge<'c>, ChallengeError> {
        let kids = kids(challenge).map_err(ChallengeError::new)?;
        Ok(Challenge::as_it_came(WantedKeys::Kids(kids), challenge))
    }

    /// Returns the server's SOAP message unchanged.
    fn license<'a>(&'a self, challenge: &'a Challenge<'_>, terms: LicenseTerms<'a>) -> LicenseFuture<'a> {
        Box::pin(async move {
            let data = license_data(terms);
            Ok(self.upstream.ask(|| self.request(&challenge.bytes, &data), read_answer).await?)
        })
    }
}

fn license_data(terms: LicenseTerms<'_>) -> Zeroizing<String> {
    let data = LicenseData {
        version: 1,
        account_id: terms.account,
        content_id: terms.content,
        keys: terms.keys.iter().map(|key| key_of(key, terms.policy)).collect(),
        terms: license_terms(terms.policy),
    };
    // Texts, numbers and maps with text keys can always be written as JSON.
    let json = Zeroizing::new(serde_json::to_vec(&data).unwrap_or_default());
    Zeroizing::new(STANDARD.encode(&*json))
}

fn key_of<'k>(key: &LicensedKey<'k>, policy: &Policy) -> Key<'k> {
    Key {
        key_id: key.kid.to_string(),
        key: key.key.to_base64(),
        track: key.track.as_str(),
        protection: track_terms(policy, key.track),
    }
}

/// The SOAP message with the license in a server's response.
///
/// # Errors
/// [`Fault`] when there is no license; a SOAP fault is a refusal, whatever its HTTP status.
pub fn read_answer(response: &OutgoingResponse) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let text = std::str::from_utf8(&response.body).unwrap_or_default();
    let is_soap = text.contains("Envelope");
    if is_soap && text.contains(":Fault>") {
        return Err(Fault::Refused(fault_code(text)));
    }
    upstream::body(response)?;
    if is_soap && text.contains("AcquireLicenseResponse") && text.trim_end().ends_with('>') {
        Ok(response.body.clone())
    } else {
        Err(Fault::OutOfProtocol("no SOAP message with AcquireLicenseResponse"))
    }
}

/// PlayReady's status code in a SOAP fault, such as `0x8004c600`.
fn fault_code(text: &str) -> String {
    let code = text.split_once("<StatusCode>").map_or("SOAP fault", |(_, rest)| rest);
    upstream::status_word(code.split('<').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_crypto::ContentKey;
    use keymoot_model::{Kid, TrackName};

    const LICENSE: &str = r#"<?xml version="1.0"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><AcquireLicenseResponse xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols"><AcquireLicenseResult/></AcquireLicenseResponse></soap:Body></soap:Envelope>"#;

    fn read(status: u16, body: &str) -> Result<Zeroizing<Vec<u8>>, Fault> {
        read_answer(&OutgoingResponse { status, body: Zeroizing::new(body.as_bytes().to_vec()) })
    }

    #[test]
    fn the_license_data_names_each_key_with_its_protection() {
        let (account, content) = (AccountId::new("167").unwrap(), ContentId::new("film").unwrap());
        let (kid, key) = (Kid::from_bytes(*b"0123456789abcdef"), ContentKey::from_bytes(&[2; 16]));
        let track = TrackName::new("HD").unwrap();
        let keys = [LicensedKey { kid: &kid, key: &key, track: &track, iv: None }];
        let policy = br#"{"name":"p","protection":{"playready":{"minimum_security_level":2000}}}"#;
        let policy = Policy::from_json(policy, None).unwrap();
        let terms = LicenseTerms { account: &account, content: &content, keys: &keys, policy: &policy };
        let data = license_data(terms);
        let data: serde_json::Value =
            serde_json::from_slice(&STANDARD.decode(data.as_bytes()).unwrap()).unwrap();
        let expected = serde_json::json!({
            "version": 1, "account_id": "167", "content_id": "film", "terms": {"is_persistent": false},
            "keys": [{"key_id": "30313233-3435-3637-3839-616263646566", "key": "AgICAgICAgICAgICAgICAg==",
                      "track": "HD", "protection": {"minimum_security_level": 2000, "output_protection_levels": {}}}],
        });
        assert_eq!(data, expected);
    }

    #[test]
    fn a_license_is_taken_only_from_a_sound_answer() {
        assert_eq!(read(200, LICENSE).unwrap().as_slice(), LICENSE.as_bytes());
        for lie in ["", "<html></html>", &LICENSE[..LICENSE.len() - 3], "{\"status\":\"OK\"}"] {
            assert!(matches!(read(200, lie), Err(Fault::OutOfProtocol(_))), "{lie}");
        }
        assert!(matches!(read(500, LICENSE), Err(Fault::Failed(_))));
        let fault = r#"<soap:Envelope><soap:Body><soap:Fault><faultstring>x</faultstring><detail><Exception><StatusCode>0x8004c600</StatusCode></Exception></detail></soap:Fault></soap:Body></soap:Envelope>"#;
        assert_eq!(read(500, fault), Err(Fault::Refused("0x8004c600".to_owned())));
    }
}
