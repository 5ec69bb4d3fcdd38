//! Widevine: `policy_overrides` of a license, and the terms of each track in `content_key_specs`.
//!
//! The license service cannot express the analog protection system and the constrained image
//! trigger of uDRM 2.4.2: a track that demands either has its analog outputs switched off.

use std::num::NonZeroU32;

use serde::Serialize;

use keymoot_model::{Aps, CgmsA, Policy, TrackName, WidevineHdcp, WidevineSecurityLevel};

/// `policy_overrides` of a license request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyOverrides {
    can_play: bool,
    can_persist: bool,
    can_renew: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_duration_seconds: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rental_duration_seconds: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    playback_duration_seconds: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal_server_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal_delay_seconds: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal_retry_interval_seconds: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal_recovery_duration_seconds: Option<NonZeroU32>,
    renew_with_usage: bool,
}

/// A track's terms in one of `content_key_specs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WidevineTrackTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    security_level: Option<WidevineSecurityLevel>,
    required_output_protection: OutputProtection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct OutputProtection {
    hdcp: &'static str,
    cgms_flags: &'static str,
    disable_analog_output: bool,
}

/// A policy's terms for the license.
pub fn policy_overrides(policy: &Policy) -> PolicyOverrides {
    let renewal = policy.renewal.clone();
    let can_renew = renewal.is_some();
    let renewal = renewal.unwrap_or_default();
    PolicyOverrides {
        can_play: true,
        can_persist: policy.can_persist,
        can_renew,
        license_duration_seconds: super::license_duration_s(policy),
        rental_duration_seconds: policy.rental_duration_s,
        playback_duration_seconds: policy.playback_duration_s,
        renewal_server_url: renewal.url,
        renewal_delay_seconds: renewal.delay_s,
        renewal_retry_interval_seconds: renewal.retry_interval_s,
        renewal_recovery_duration_seconds: renewal.recovery_duration_s,
        renew_with_usage: renewal.with_usage,
    }
}

/// A policy's terms for a track.
pub fn track_terms(policy: &Policy, track: &TrackName) -> WidevineTrackTerms {
    let asked = policy.protection_of(track).widevine;
    let inexpressible = asked.aps.is_some_and(|aps| aps != Aps::Off) || asked.cit == Some(true);
    WidevineTrackTerms {
        security_level: asked.security_level,
        required_output_protection: OutputProtection {
            hdcp: hdcp(asked.hdcp),
            cgms_flags: cgms_flags(asked.cgms_a),
            disable_analog_output: inexpressible || asked.disable_analog_output == Some(true),
        },
    }
}

fn hdcp(asked: Option<WidevineHdcp>) -> &'static str {
    match asked {
        None | Some(WidevineHdcp::None) => "HDCP_NONE",
        Some(WidevineHdcp::V1) => "HDCP_V1",
        Some(WidevineHdcp::V2) => "HDCP_V2",
        Some(WidevineHdcp::V2_1) => "HDCP_V2_1",
        Some(WidevineHdcp::V2_2) => "HDCP_V2_2",
        Some(WidevineHdcp::V2_3) => "HDCP_V2_3",
        Some(WidevineHdcp::NoDigitalOutput) => "HDCP_NO_DIGITAL_OUTPUT",
    }
}

/// The service has three of the four values: "no more copies" becomes "copy never".
fn cgms_flags(asked: Option<CgmsA>) -> &'static str {
    match asked {
        None => "CGMS_NONE",
        Some(CgmsA::CopyFree) => "COPY_FREE",
        Some(CgmsA::CopyOnce) => "COPY_ONCE",
        Some(CgmsA::CopyNoMore | CgmsA::CopyNever) => "COPY_NEVER",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::golden;
    use super::*;

    fn form(policy: &Policy) -> serde_json::Value {
        let track = |name| json!(track_terms(policy, &golden::track(name)));
        json!({
            "policy_overrides": policy_overrides(policy),
            "content_key_specs": { "SD": track("SD"), "UHD1": track("UHD1"), "AUDIO": track("AUDIO") },
        })
    }

    #[test]
    fn a_policy_has_this_form() {
        golden::check(&form(&golden::policy()), include_str!("goldens/widevine.json"));
        golden::check(&form(&golden::plain()), include_str!("goldens/widevine-plain.json"));
    }

    #[test]
    fn what_the_service_cannot_say_is_asked_for_more_strictly() {
        let terms = |protection: &str| {
            let document = format!(r#"{{"name":"p","protection":{{"widevine":{protection}}}}}"#);
            let policy = Policy::from_json(document.as_bytes(), None).unwrap();
            track_terms(&policy, &golden::track("SD")).required_output_protection
        };
        assert_eq!(terms(r#"{"cgms_a":"copy_no_more"}"#).cgms_flags, "COPY_NEVER");
        assert!(terms(r#"{"aps":"type1","disable_analog_output":false}"#).disable_analog_output);
        assert!(terms(r#"{"cit":true}"#).disable_analog_output);
        assert!(!terms(r#"{"cit":false,"aps":"off"}"#).disable_analog_output);
    }
}
