//! FairPlay: what the key server module is told of a content key (uDRM 2.4.3).

use std::num::NonZeroU32;

use serde::Serialize;

use keymoot_model::{FairPlayHdcp, Policy, TrackName};

/// What `asset-info` of `create-ckc` says beside the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AssetTerms {
    /// Seconds for which the device holds its slot; playback stops with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_duration: Option<NonZeroU32>,
    /// Seconds for which the key may be used to begin playing.
    #[serde(skip_serializing_if = "Option::is_none")]
    rental_duration: Option<NonZeroU32>,
    /// Seconds for which it may be used once playing has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    playback_duration: Option<NonZeroU32>,
    /// Whether the key may be kept for playing without the network.
    can_persist: bool,
    /// HDCP: 0 any version, 1 version 2.2 or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    hdcp_type: Option<u8>,
}

/// What a policy says of a track. Its rental duration is what is left of it.
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

/// How long a player may keep the key: what the answer to the player calls `persistence_duration`.
/// 0: it may not.
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
