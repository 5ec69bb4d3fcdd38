//! FairPlay: the terms of a content key for the key server module (uDRM 2.4.3).

use std::num::NonZeroU32;

use serde::Serialize;

use keymoot_model::{FairPlayHdcp, Policy, TrackName};

/// The terms of a key in `asset-info` of `create-ckc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AssetTerms {
    /// Seconds for which the device holds its slot; after them playback stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_duration: Option<NonZeroU32>,
    /// Seconds for which the key may be used to begin playing.
    #[serde(skip_serializing_if = "Option::is_none")]
    rental_duration: Option<NonZeroU32>,
    /// Seconds for which the key may be used after playback began.
    #[serde(skip_serializing_if = "Option::is_none")]
    playback_duration: Option<NonZeroU32>,
    /// Whether the key may be stored for playback without the network.
    can_persist: bool,
    /// HDCP: 0 any version, 1 version 2.2 or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    hdcp_type: Option<u8>,
}

/// A policy's terms for a track. The rental duration is what remains of it.
pub fn asset_terms(policy: &Policy, track: &TrackName) -> AssetTerms {
    AssetTerms {
        lease_duration: policy.lease.map(|lease| lease.duration_s),
        rental_duration: [policy.rental_duration_s, policy.license_duration_s].into_iter().flatten().min(),
        playback_duration: policy.playback_duration_s,
        can_persist: policy.can_persist,
        hdcp_type: match policy.protection_of(track).fairplay.hdcp {
            None | Some(FairPlayHdcp::None) => None,
            Some(FairPlayHdcp::Type0) => Some(0),
            Some(FairPlayHdcp::Type1) => Some(1),
        },
    }
}

/// How long a player may store the key: `persistence_duration` in the response to the player. 0
/// means that it may not.
pub(crate) fn persistence_duration_s(policy: &Policy) -> Option<u32> {
    if !policy.can_persist {
        return Some(0);
    }
    let ends = [policy.rental_duration_s, policy.license_duration_s];
    ends.into_iter().flatten().min().map(NonZeroU32::get)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::golden;
    use super::*;

    #[test]
    fn a_policy_has_this_form() {
        let policy = golden::policy();
        let track = |name| asset_terms(&policy, &golden::track(name));
        let form = json!({ "SD": track("SD"), "UHD1": track("UHD1") });
        golden::check(&form, include_str!("goldens/fairplay.json"));
        let plain = json!(asset_terms(&golden::plain(), &golden::track("SD")));
        golden::check(&plain, r#"{"can-persist":false}"#);
    }

    #[test]
    fn a_key_is_kept_as_long_as_the_policy_lets_it() {
        let policy = |members: &str| {
            let document = format!(r#"{{"name":"p",{members}}}"#);
            Policy::from_json(document.as_bytes(), None).unwrap()
        };
        assert_eq!(persistence_duration_s(&golden::policy()), Some(0));
        assert_eq!(persistence_duration_s(&policy(r#""can_persist":true"#)), None);
        let rented = policy(r#""can_persist":true,"rental_duration_seconds":9,"license_duration_seconds":5"#);
        assert_eq!(persistence_duration_s(&rented), Some(5));
    }
}
