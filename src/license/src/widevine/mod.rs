//! Widevine licenses, from a Widevine license server: the license-service protocol of Google's
//! common encryption API.
//!
//! The license server judges the client and makes the license. Keys and terms are Keymoot's and
//! travel with each signed request, so the server need not store them. The connection carries keys
//! and must be TLS.

pub mod challenge;
mod envelope;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use zeroize::Zeroizing;

use super::system::{Challenge, ChallengeError, LicenseFuture, LicenseSystem, WantedKeys};
use super::terms::widevine::{PolicyOverrides, WidevineTrackTerms, policy_overrides, track_terms};
use super::upstream::{Upstream, UpstreamError};
use super::{LicenseTerms, LicensedKey};
use keymoot_crypto::AesSigner;
use keymoot_model::{Policy, TrackName};
use keymoot_outgoing::OutgoingRequest;
use keymoot_protocol::widevine;

pub use challenge::{WidevineChallenge, WidevineChallengeError};
pub use envelope::{Signer, read_answer};

/// The track type of keys whose track name is not one of Widevine's.
const OTHER_TRACKS: &str = "SD";

/// Requests licenses from Widevine servers.
pub struct WidevineServers {
    upstream: Upstream,
    provider: String,
    signer: Option<Signer>,
}

/// The inner request. Members are in the order of the published example.
#[derive(Serialize)]
struct Inner<'a> {
    payload: String,
    provider: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    content_key_specs: Vec<KeySpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_policy_overrides_exclusively: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_overrides: Option<PolicyOverrides>,
}

#[derive(Serialize)]
struct KeySpec {
    track_type: &'static str,
    key_id: String,
    key: Zeroizing<String>,
    #[serde(flatten)]
    protection: WidevineTrackTerms,
}

impl WidevineServers {
    /// These servers, which know this cluster as `provider`.
    pub fn new(upstream: Upstream, provider: String, signer: Option<(String, AesSigner)>) -> Self {
        let signer = signer.map(|(name, key)| Signer { name, key: Arc::new(key) });
        Self { upstream, provider, signer }
    }

    async fn ask(&self, inner: &Inner<'_>) -> Result<Zeroizing<Vec<u8>>, UpstreamError> {
        // Texts, numbers and maps with text keys can always be written as JSON.
        let inner = Zeroizing::new(serde_json::to_vec(inner).unwrap_or_default());
        let request = || OutgoingRequest::json(envelope::seal(&inner, self.signer.as_ref()));
        self.upstream.ask(request, read_answer).await
    }
}

impl LicenseSystem for WidevineServers {
    fn read<'c>(&self, challenge: &'c [u8]) -> Result<Challenge<'c>, ChallengeError> {
        let wants = match WidevineChallenge::parse(challenge).map_err(ChallengeError::new)? {
            WidevineChallenge::ServiceCertificate => WantedKeys::Certificate,
            WidevineChallenge::Existing => WantedKeys::Nothing,
            WidevineChallenge::New { kids } if kids.is_empty() => WantedKeys::EveryTrack,
            WidevineChallenge::New { kids } => WantedKeys::Kids(kids),
        };
        Ok(Challenge::as_it_came(wants, challenge))
    }

    fn license<'a>(&'a self, challenge: &'a Challenge<'_>, terms: LicenseTerms<'a>) -> LicenseFuture<'a> {
        Box::pin(async move {
            let inner = match challenge.wants {
                WantedKeys::Certificate => certificate_request(&self.provider, &challenge.bytes),
                _ => inner(&self.provider, &challenge.bytes, terms),
            };
            Ok(self.ask(&inner).await?)
        })
    }
}

/// A request for the certificate that encrypts clients' identities. It needs no keys and no terms.
fn certificate_request<'a>(provider: &'a str, challenge: &[u8]) -> Inner<'a> {
    Inner {
        payload: STANDARD.encode(challenge),
        provider,
        content_id: None,
        content_key_specs: Vec::new(),
        use_policy_overrides_exclusively: None,
        policy_overrides: None,
    }
}

fn inner<'a>(provider: &'a str, challenge: &[u8], terms: LicenseTerms<'_>) -> Inner<'a> {
    Inner {
        payload: STANDARD.encode(challenge),
        provider,
        content_id: Some(STANDARD.encode(terms.content.to_bytes())),
        content_key_specs: terms.keys.iter().map(|key| key_spec(key, terms.policy)).collect(),
        use_policy_overrides_exclusively: Some(true),
        policy_overrides: Some(policy_overrides(terms.policy)),
    }
}

fn key_spec(key: &LicensedKey<'_>, policy: &Policy) -> KeySpec {
    KeySpec {
        track_type: track_type(key.track),
        key_id: key.kid.to_base64(),
        key: key.key.to_base64(),
        protection: track_terms(policy, key.track),
    }
}

/// The track's name if Widevine has it, else [`OTHER_TRACKS`].
fn track_type(track: &TrackName) -> &'static str {
    widevine::track_type(track.as_str()).unwrap_or(OTHER_TRACKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_crypto::ContentKey;
    use keymoot_model::{AccountId, ContentId, Kid};

    #[test]
    fn the_inner_request_is_as_it_was_published() {
        let (account, content) = (AccountId::new("167").unwrap(), ContentId::new("film").unwrap());
        let (kid, key) = (Kid::from_bytes([1; 16]), ContentKey::from_bytes(&[2; 16]));
        let (uhd, own) = (TrackName::new("UHD1").unwrap(), TrackName::default_track());
        let keys = [
            LicensedKey { kid: &kid, key: &key, track: &uhd, iv: None },
            LicensedKey { kid: &kid, key: &key, track: &own, iv: None },
        ];
        let policy = br#"{"name":"p","license_duration_seconds":60,
            "protection":{"widevine":{"security_level":1}},
            "tracks":{"UHD1":{"widevine":{"security_level":3,"hdcp":"v2.2"}}}}"#;
        let policy = Policy::from_json(policy, None).unwrap();
        let terms = LicenseTerms { account: &account, content: &content, keys: &keys, policy: &policy };
        let protection = |hdcp: &str| serde_json::json!({"hdcp": hdcp, "cgms_flags": "CGMS_NONE", "disable_analog_output": false});
        assert_eq!(
            serde_json::to_value(inner("studio", b"challenge", terms)).unwrap(),
            serde_json::json!({
                "payload": "Y2hhbGxlbmdl", "provider": "studio", "content_id": "ZmlsbQ==",
                "content_key_specs": [
                    {"track_type": "UHD1", "key_id": "AQEBAQEBAQEBAQEBAQEBAQ==",
                     "key": "AgICAgICAgICAgICAgICAg==", "security_level": 3,
                     "required_output_protection": protection("HDCP_V2_2")},
                    {"track_type": "SD", "key_id": "AQEBAQEBAQEBAQEBAQEBAQ==",
                     "key": "AgICAgICAgICAgICAgICAg==", "security_level": 1,
                     "required_output_protection": protection("HDCP_NONE")},
                ],
                "use_policy_overrides_exclusively": true,
                "policy_overrides": {
                    "can_play": true, "can_persist": false, "can_renew": false,
                    "license_duration_seconds": 60, "renew_with_usage": false,
                },
            })
        );
    }
}
