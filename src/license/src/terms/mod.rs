//! A policy in each DRM system's own form: one file per system, and nowhere else.
//!
//! A demand that a system cannot express is replaced by a stricter one, never left out; a demand
//! that the policy leaves out is not made of the system. No duration is ever written as 0, which
//! systems take for "without end". The golden files beside this one show one policy in all forms.

pub mod clear_key;
pub mod fairplay;
pub mod playready;
pub mod widevine;
pub mod widevine_classic;

use std::num::NonZeroU32;

use serde_json::{Value, json};

use keymoot_model::{Policy, TrackName};

/// How long a license may be valid: as the policy says, and no longer than a device holds its slot,
/// so that a device that does not renew its slot stops.
fn license_duration_s(policy: &Policy) -> Option<NonZeroU32> {
    let slot_s = policy.lease.map(|lease| lease.duration_s);
    [policy.license_duration_s, slot_s].into_iter().flatten().min()
}

/// A policy in each system's own form, by the system's name: for these tracks, or, when there are
/// none, for the policy's tracks and one that it does not name.
pub fn forms(policy: &Policy, tracks: &[TrackName]) -> Value {
    let tracks = match tracks {
        [] => policy.tracks.keys().cloned().chain([TrackName::default_track()]).collect(),
        given => given.to_vec(),
    };
    let by_track = |form: &dyn Fn(&TrackName) -> Value| -> Value {
        tracks.iter().map(|track| (track.to_string(), form(track))).collect()
    };
    json!({
        "widevine": {
            "policy_overrides": widevine::policy_overrides(policy),
            "content_key_specs": by_track(&|track| json!(widevine::track_terms(policy, track))),
        },
        "widevine_classic": by_track(&|track| json!(widevine_classic::copy_control(policy, track))),
        "playready": {
            "license": playready::license_terms(policy),
            "tracks": by_track(&|track| json!(playready::track_terms(policy, track))),
        },
        "fairplay": by_track(&|track| json!(fairplay::asset_terms(policy, track))),
        "clear_key": by_track(&|track| match clear_key::permit(policy, track) {
            Ok(()) => json!("served"),
            Err(refusal) => json!(format!("refused: {refusal}")),
        }),
    })
}

#[cfg(test)]
mod golden {
    //! One policy that uses every member, and its forms.

    use serde_json::Value;

    use keymoot_model::{Policy, PolicyName, TrackName};

    pub(super) fn policy() -> Policy {
        Policy::from_json(include_bytes!("goldens/policy.json"), None).unwrap()
    }

    /// A policy without any demand.
    pub(super) fn plain() -> Policy {
        Policy::streaming(PolicyName::new("plain").unwrap())
    }

    pub(super) fn track(name: &str) -> TrackName {
        TrackName::new(name).unwrap()
    }

    /// Compares a form with the golden file's text, and shows the form when they differ.
    pub(super) fn check(form: &Value, golden: &str) {
        let golden: Value = serde_json::from_str(golden).unwrap();
        assert_eq!(*form, golden, "{form:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_are_shown_for_the_tracks_that_are_named_and_one_that_is_not() {
        let document = br#"{"name":"p","tracks":{"UHD1":{"widevine":{"hdcp":"v2.2"}}}}"#;
        let policy = Policy::from_json(document, None).unwrap();
        let shown = forms(&policy, &[]);
        let hdcp = |track: &str| {
            shown["widevine"]["content_key_specs"][track]["required_output_protection"]["hdcp"].clone()
        };
        assert_eq!((hdcp("UHD1"), hdcp("DEFAULT")), (json!("HDCP_V2_2"), json!("HDCP_NONE")));
        assert_eq!(shown["clear_key"]["DEFAULT"], "served");
        assert!(shown["clear_key"]["UHD1"].as_str().unwrap().starts_with("refused"));
        let only = forms(&policy, &[TrackName::new("SD").unwrap()]);
        assert_eq!(only["fairplay"], json!({"SD": {"can-persist": false}}));
    }
}
