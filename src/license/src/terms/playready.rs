//! PlayReady: the terms of the license and of each key for the license server (uDRM 2.4.1).
//!
//! They travel as JSON in the custom data of the request to the license server, whose handler turns
//! them into the license's rights.

use std::num::NonZeroU32;

use serde::Serialize;

use keymoot_model::{
    AnalogLevel, AudioLevel, CompressedVideoLevel, PlayReadySecurityLevel, Policy, TrackName,
    UncompressedVideoLevel,
};

/// A policy's terms for a license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlayReadyLicenseTerms {
    /// Whether the license may be stored.
    is_persistent: bool,
    /// When the license expires after it is issued: also the time to begin playback.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_after_seconds: Option<NonZeroU32>,
    /// When the license expires after the first play.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_after_first_play_seconds: Option<NonZeroU32>,
}

/// A policy's terms for a track's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlayReadyTrackTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_security_level: Option<PlayReadySecurityLevel>,
    output_protection_levels: OutputProtectionLevels,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct OutputProtectionLevels {
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_compressed_digital_audio: Option<AudioLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_uncompressed_digital_audio: Option<AudioLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_compressed_digital_video: Option<CompressedVideoLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_uncompressed_digital_video: Option<UncompressedVideoLevel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_analog_television: Option<AnalogLevel>,
}

/// A policy's terms for the license.
pub fn license_terms(policy: &Policy) -> PlayReadyLicenseTerms {
    let ends = [super::license_duration_s(policy), policy.rental_duration_s];
    PlayReadyLicenseTerms {
        is_persistent: policy.can_persist,
        expires_after_seconds: ends.into_iter().flatten().min(),
        expires_after_first_play_seconds: policy.playback_duration_s,
    }
}

/// A policy's terms for a track.
pub fn track_terms(policy: &Policy, track: &TrackName) -> PlayReadyTrackTerms {
    let asked = policy.protection_of(track).playready;
    PlayReadyTrackTerms {
        minimum_security_level: asked.minimum_security_level,
        output_protection_levels: OutputProtectionLevels {
            minimum_compressed_digital_audio: asked.compressed_digital_audio,
            minimum_uncompressed_digital_audio: asked.uncompressed_digital_audio,
            minimum_compressed_digital_video: asked.compressed_digital_video,
            minimum_uncompressed_digital_video: asked.uncompressed_digital_video,
            minimum_analog_television: asked.analog_television,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::golden;
    use super::*;

    #[test]
    fn a_policy_has_this_form() {
        let form = |policy: &Policy| {
            let track = |name| json!(track_terms(policy, &golden::track(name)));
            json!({ "license": license_terms(policy), "tracks": { "SD": track("SD"), "UHD1": track("UHD1") } })
        };
        golden::check(&form(&golden::policy()), include_str!("goldens/playready.json"));
        golden::check(&form(&golden::plain()), include_str!("goldens/playready-plain.json"));
    }
}
