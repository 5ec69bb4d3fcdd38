//! How policies are printed.

use serde_json::{Value, json};

use keymoot_license::terms::{clear_key, fairplay, playready, widevine, widevine_classic};
use keymoot_model::{Policy, TrackName};
use keymoot_service::ListedPolicy;

/// Aligned columns.
pub(super) fn table(listed: &[ListedPolicy]) -> String {
    let mut text =
        format!("{:<24}  {:>7}  {:>8}  {:<7}  DESCRIPTION\n", "POLICY", "VERSION", "CONTENTS", "DEFAULT");
    for ListedPolicy { record, contents, is_default } in listed {
        text.push_str(&format!(
            "{:<24}  {:>7}  {:>8}  {:<7}  {}\n",
            record.policy.name.as_str(),
            record.version,
            contents,
            if *is_default { "yes" } else { "no" },
            record.policy.description,
        ));
    }
    text
}

/// A list of objects.
pub(super) fn json(listed: &[ListedPolicy]) -> String {
    let rows = listed.iter().map(|ListedPolicy { record, contents, is_default }| {
        json!({
            "policy": record.policy.to_json(),
            "version": record.version,
            "changed_at_ms": record.changed_at_ms,
            "contents": contents,
            "is_default": is_default,
        })
    });
    format!("{:#}\n", Value::Array(rows.collect()))
}

/// A policy in each system's own form, for these tracks.
pub(super) fn forms(policy: &Policy, tracks: &[TrackName]) -> Value {
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
