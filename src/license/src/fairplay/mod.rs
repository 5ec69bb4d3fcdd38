//! FairPlay licenses, from a key security module (KSM) that holds Apple's SDK and the account's
//! FairPlay certificate.
//!
//! The playback context (SPC) of a device is encrypted for the KSM alone: the requested key cannot
//! be read here. So the key is that of the signed content and track. Key, IV and durations travel
//! to the KSM with each request, in the JSON format of Apple's SDK.

mod spc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::request_signer::RequestSigner;
use super::system::{Challenge, ChallengeError, LicenseFuture, LicenseSystem, LicensingError, WantedKeys};
use super::terms::fairplay::{AssetTerms, asset_terms, persistence_duration_s};
use super::upstream::{self, Fault, Upstream, UpstreamError};
use super::{LicenseTerms, LicensedKey};
use keymoot_drm::fairplay::constant_iv;
use keymoot_model::Policy;
use keymoot_outgoing::{OutgoingRequest, OutgoingResponse};

pub use spc::{SPC_BYTES_MAX, SpcError, read_spc};

/// The number of the one operation in a request.
const OPERATION: u64 = 1;

/// Requests licenses from KSMs.
pub struct FairPlayServers {
    upstream: Upstream,
    signer: Option<RequestSigner>,
}

#[derive(Serialize)]
struct KsmRequest {
    #[serde(rename = "fairplay-streaming-request")]
    request: Asked,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Asked {
    version: u32,
    create_ckc: [CreateCkc; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct CreateCkc {
    id: u64,
    spc: String,
    asset_info: [AssetInfo; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct AssetInfo {
    content_key: Zeroizing<String>,
    content_iv: String,
    #[serde(flatten)]
    terms: AssetTerms,
}

#[derive(Deserialize)]
struct KsmAnswer {
    #[serde(rename = "fairplay-streaming-response")]
    response: Answered,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Answered {
    create_ckc: Vec<CreatedCkc>,
}

#[derive(Deserialize)]
struct CreatedCkc {
    id: Value,
    status: i64,
    #[serde(default)]
    ckc: Option<Zeroizing<String>>,
}

/// The response to a player.
#[derive(Serialize)]
struct CkcAnswer<'a> {
    ckc: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    persistence_duration: Option<u32>,
}

impl FairPlayServers {
    /// These KSMs; requests are signed when there is a signer.
    pub fn new(upstream: Upstream, signer: Option<RequestSigner>) -> Self {
        Self { upstream, signer }
    }

    async fn ask(
        &self,
        spc: &[u8],
        key: &LicensedKey<'_>,
        policy: &Policy,
    ) -> Result<Zeroizing<Vec<u8>>, UpstreamError> {
        let body = request(spc, key, policy);
        let request = || {
            let mut request = OutgoingRequest::json(body.clone());
            if let Some(signer) = &self.signer {
                signer.sign(&mut request, "");
            }
            request
        };
        let ckc = self.upstream.ask(request, read_answer).await?;
        let license = CkcAnswer { ckc: &ckc, persistence_duration: persistence_duration_s(policy) };
        // A text and a number can always be written as JSON.
        Ok(Zeroizing::new(serde_json::to_vec(&license).unwrap_or_default()))
    }
}

impl LicenseSystem for FairPlayServers {
    fn read<'c>(&self, challenge: &'c [u8]) -> Result<Challenge<'c>, ChallengeError> {
        let spc = read_spc(challenge).map_err(ChallengeError::new)?;
        Ok(Challenge { wants: WantedKeys::SignedFor, is_persistent: false, bytes: spc.into() })
    }

    /// Returns JSON with the KSM's answer, for the player.
    fn license<'a>(&'a self, challenge: &'a Challenge<'_>, terms: LicenseTerms<'a>) -> LicenseFuture<'a> {
        Box::pin(async move {
            let key = terms.keys.first().ok_or(LicensingError::NoKey)?;
            Ok(self.ask(&challenge.bytes, key, terms.policy).await?)
        })
    }
}

fn request(spc: &[u8], key: &LicensedKey<'_>, policy: &Policy) -> Zeroizing<Vec<u8>> {
    let asset = AssetInfo {
        content_key: key.key.to_hex(),
        content_iv: base16ct::lower::encode_string(&key.iv.unwrap_or_else(|| constant_iv(key.kid))),
        terms: asset_terms(policy, key.track),
    };
    let operation = CreateCkc { id: OPERATION, spc: STANDARD.encode(spc), asset_info: [asset] };
    let request = KsmRequest { request: Asked { version: 1, create_ckc: [operation] } };
    // Texts, numbers and maps with text keys can always be written as JSON.
    Zeroizing::new(serde_json::to_vec(&request).unwrap_or_default())
}

/// The CKC in a KSM's response, in base64.
///
/// # Errors
/// [`Fault`] when there is no CKC; a status other than 0 is a refusal.
pub fn read_answer(response: &OutgoingResponse) -> Result<Zeroizing<String>, Fault> {
    let body = upstream::body(response)?;
    let answer: KsmAnswer =
        serde_json::from_slice(body).map_err(|_| Fault::OutOfProtocol("no fairplay-streaming-response"))?;
    let [created] = answer.response.create_ckc.as_slice() else {
        return Err(Fault::OutOfProtocol("not exactly one create-ckc"));
    };
    // Implementations return the number as a number or as text.
    if created.id.as_u64() != Some(OPERATION) && created.id.as_str() != Some("1") {
        return Err(Fault::OutOfProtocol("the answer to another request"));
    }
    if created.status != 0 {
        return Err(Fault::Refused(format!("status {}", created.status)));
    }
    match &created.ckc {
        Some(ckc) if STANDARD.decode(ckc.as_bytes()).is_ok_and(|bytes| !bytes.is_empty()) => Ok(ckc.clone()),
        _ => Err(Fault::OutOfProtocol("status 0 without a ckc in base64")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use keymoot_crypto::ContentKey;
    use keymoot_model::{Kid, TrackName};

    fn read(body: &str) -> Result<Zeroizing<String>, Fault> {
        read_answer(&OutgoingResponse { status: 200, body: Zeroizing::new(body.as_bytes().to_vec()) })
    }

    #[test]
    fn a_request_is_what_apples_sdk_reads() {
        let (kid, key) = (Kid::from_bytes(*b"0123456789abcdef"), ContentKey::from_bytes(&[0xab; 16]));
        let track = TrackName::default_track();
        let key = LicensedKey { kid: &kid, key: &key, track: &track, iv: None };
        let policy = br#"{"name":"p","lease":{"duration_seconds":300,"slots":2}}"#;
        let policy = Policy::from_json(policy, None).unwrap();
        let request: Value = serde_json::from_slice(&request(b"spc", &key, &policy)).unwrap();
        let expected = serde_json::json!({"fairplay-streaming-request": {"version": 1, "create-ckc": [{
            "id": 1, "spc": "c3Bj", "asset-info": [{
                "content-key": "abababababababababababababababab",
                "content-iv": "e8dd169892eae706d375c2316d69f222",
                "lease-duration": 300, "can-persist": false,
            }],
        }]}});
        assert_eq!(request, expected);
    }

    #[test]
    fn the_iv_that_an_encryptor_gave_is_the_one_that_players_get() {
        let (kid, key) = (Kid::from_bytes([1; 16]), ContentKey::from_bytes(&[2; 16]));
        let track = TrackName::default_track();
        let key = LicensedKey { kid: &kid, key: &key, track: &track, iv: Some([0xcd; 16]) };
        let policy = Policy::from_json(br#"{"name":"p"}"#, None).unwrap();
        let request: Value = serde_json::from_slice(&request(b"spc", &key, &policy)).unwrap();
        let asset = &request["fairplay-streaming-request"]["create-ckc"][0]["asset-info"][0];
        assert_eq!(asset["content-iv"], "cd".repeat(16));
    }

    #[test]
    fn a_ckc_is_taken_only_from_a_sound_answer() {
        let answer = |inner: &str| {
            read(&format!(r#"{{"fairplay-streaming-response":{{"version":1,"create-ckc":[{inner}]}}}}"#))
        };
        for id in ["1", "\"1\""] {
            let ckc = answer(&format!(r#"{{"id":{id},"status":0,"hu":"00","ckc":"AQI="}}"#)).unwrap();
            assert_eq!(ckc.as_str(), "AQI=");
        }
        for lie in [
            "",
            r#"{"id":2,"status":0,"ckc":"AQI="}"#,
            r#"{"id":1,"status":0}"#,
            r#"{"id":1,"status":0,"ckc":""}"#,
            r#"{"id":1,"status":0,"ckc":"?"}"#,
            r#"{"id":1,"status":0,"ckc":"AQI="},{"id":1,"status":0,"ckc":"AQI="}"#,
        ] {
            assert!(matches!(answer(lie), Err(Fault::OutOfProtocol(_))), "{lie}");
        }
        assert!(matches!(read("{}"), Err(Fault::OutOfProtocol(_))));
        assert_eq!(
            answer(r#"{"id":1,"status":-42605,"ckc":"AQI="}"#),
            Err(Fault::Refused("status -42605".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn no_answer_is_too_odd_to_be_read(body: Vec<u8>) {
            let _read = read_answer(&OutgoingResponse { status: 200, body: Zeroizing::new(body) }).is_ok();
        }
    }
}
