//! Policies: what a license allows, one model for all DRM systems (uDRM 2.4).
//!
//! Only levels and names that a system defines can be made. A member that is left out asks for nothing. These
//! types do not know any system's own format; the `license` crate maps a policy to each.

mod document;
mod level;
mod protection;
mod seconds;

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};

use serde::{Deserialize, Serialize};

use super::{PolicyName, TrackName};

pub use document::PolicyError;
pub use level::{
    AnalogLevel, AudioLevel, CompressedVideoLevel, PlayReadySecurityLevel, UncompressedVideoLevel,
    WidevineSecurityLevel,
};
pub use protection::{
    Aps, CgmsA, ClearKeyProtection, FairPlayHdcp, FairPlayProtection, PlayReadyProtection, Protection,
    WidevineHdcp, WidevineProtection,
};

/// A policy: what a license of a content allows, and under which conditions. It belongs to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name, unique in the account.
    pub name: PolicyName,
    #[serde(default)]
    pub description: String,
    /// Whether a device may keep the license, to play without the network.
    #[serde(default)]
    pub can_persist: bool,
    /// How long a license is valid after it was issued; `None`: unlimited.
    #[serde(default, rename = "license_duration_seconds", with = "seconds")]
    pub license_duration_s: Option<NonZeroU32>,
    /// How long a viewer may begin to play after the first license; `None`: unlimited.
    #[serde(default, rename = "rental_duration_seconds", with = "seconds")]
    pub rental_duration_s: Option<NonZeroU32>,
    /// How long a viewer may play once playback has started; `None`: unlimited.
    #[serde(default, rename = "playback_duration_seconds", with = "seconds")]
    pub playback_duration_s: Option<NonZeroU32>,
    /// How licenses are renewed during playback; `None`: not at all.
    #[serde(default)]
    pub renewal: Option<Renewal>,
    /// On how many devices a viewer may play at once; `None`: devices are not counted.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// Requirements of every track on a device and its outputs.
    #[serde(default)]
    pub protection: Protection,
    /// Requirements of single tracks, which override those member by member.
    #[serde(default)]
    pub tracks: BTreeMap<TrackName, Protection>,
}

/// How licenses are renewed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The renewal server; `None`: the server that issues licenses.
    #[serde(default)]
    pub url: Option<String>,
    /// Time from issuing a license to its first renewal.
    #[serde(default, rename = "delay_seconds", with = "seconds")]
    pub delay_s: Option<NonZeroU32>,
    /// Time between retries while renewal fails.
    #[serde(default, rename = "retry_interval_seconds", with = "seconds")]
    pub retry_interval_s: Option<NonZeroU32>,
    /// How long playback continues while renewal fails.
    #[serde(default, rename = "recovery_duration_seconds", with = "seconds")]
    pub recovery_duration_s: Option<NonZeroU32>,
    /// Whether a license is renewed as soon as it is used.
    #[serde(default)]
    pub with_usage: bool,
}

/// A limit on the devices that play at once (uDRM 2.4.3, "Video Lease").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// How long a device holds its slot after a license; it renews the slot with its next license.
    #[serde(rename = "duration_seconds", with = "seconds::required")]
    pub duration_s: NonZeroU32,
    /// How many devices of a viewer may hold a slot at once.
    pub slots: NonZeroU16,
}

/// A policy as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    pub policy: Policy,
    /// 1 for the first, incremented by each change. Numbering continues after a delete: no number is used
    /// twice.
    pub version: u64,
    /// When it was last changed: milliseconds since 1970 UTC, by the proposer's clock.
    pub changed_at_ms: u64,
}

impl Policy {
    /// The longest description, in bytes.
    pub const DESCRIPTION_BYTES_MAX: usize = 256;
    /// The longest renewal URL, in bytes.
    pub(crate) const URL_BYTES_MAX: usize = 512;
    /// The most tracks that a policy may name.
    pub(crate) const TRACKS_MAX: usize = 32;

    /// A policy that requires nothing and allows no persistent license: plain streaming.
    pub fn streaming(name: PolicyName) -> Self {
        Self {
            name,
            description: String::new(),
            can_persist: false,
            license_duration_s: None,
            rental_duration_s: None,
            playback_duration_s: None,
            renewal: None,
            lease: None,
            protection: Protection::default(),
            tracks: BTreeMap::new(),
        }
    }

    /// The requirements of a track on a device and its outputs. Of tracks that share a key it is the strictest of each
    /// requirement.
    pub fn protection_of(&self, track: &TrackName) -> Protection {
        if let Some(own) = self.tracks.get(track) {
            return own.over(&self.protection);
        }
        let mut parts = track.parts();
        match (parts.next(), parts.next()) {
            (Some("ALL"), None) => self.strictest(self.tracks.values()),
            (Some(alone), None) => {
                let covered = self.tracks.iter().filter(|(name, _)| covers(alone).contains(&name.as_str()));
                self.strictest(covered.map(|(_, own)| own))
            }
            _ => {
                let parts = track.parts().filter_map(|part| TrackName::new(part).ok());
                let each = parts.map(|part| self.protection_of(&part));
                each.reduce(|one, other| one.stricter(&other)).unwrap_or(self.protection)
            }
        }
    }

    fn strictest<'p>(&self, tracks: impl Iterator<Item = &'p Protection>) -> Protection {
        let each = tracks.map(|own| own.over(&self.protection));
        each.reduce(|one, other| one.stricter(&other)).unwrap_or(self.protection)
    }

    /// The same policy with no duration longer than these; `None` keeps the policy's own.
    #[must_use]
    pub fn limited_to(
        self,
        license_duration_s: Option<NonZeroU32>,
        rental_duration_s: Option<NonZeroU32>,
        playback_duration_s: Option<NonZeroU32>,
    ) -> Self {
        Self {
            license_duration_s: shorter(self.license_duration_s, license_duration_s),
            rental_duration_s: shorter(self.rental_duration_s, rental_duration_s),
            playback_duration_s: shorter(self.playback_duration_s, playback_duration_s),
            ..self
        }
    }
}

/// The tracks of policies that a track of SPEKE's is, where it has a name of its own there.
fn covers(track: &str) -> &'static [&'static str] {
    match track {
        "HD1" | "HD2" => &["HD"],
        "UHD" => &["UHD1", "UHD2"],
        "VIDEO" => &["SD", "HD", "HD1", "HD2", "UHD", "UHD1", "UHD2"],
        "STEREO_AUDIO" | "MULTICHANNEL_AUDIO" | "MULTICHANNEL_AUDIO_3_6" | "MULTICHANNEL_AUDIO_7" => {
            &["AUDIO"]
        }
        _ => &[],
    }
}

/// The shorter of two durations; `None` is unlimited.
fn shorter(one: Option<NonZeroU32>, other: Option<NonZeroU32>) -> Option<NonZeroU32> {
    [one, other].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_asks_for_its_own_where_it_says_so_and_for_the_common_otherwise() {
        let policy = Policy::from_json(
            br#"{"name":"p","protection":{"widevine":{"hdcp":"v1","security_level":1},"fairplay":{"hdcp":"type0"}},
                "tracks":{"UHD1":{"widevine":{"hdcp":"v2.2"}}}}"#,
            None,
        )
        .unwrap();
        let uhd = policy.protection_of(&TrackName::new("UHD1").unwrap());
        assert_eq!(uhd.widevine.hdcp, Some(WidevineHdcp::V2_2));
        assert_eq!(uhd.widevine.security_level, WidevineSecurityLevel::new(1));
        assert_eq!(uhd.fairplay.hdcp, Some(FairPlayHdcp::Type0));
        let sd = policy.protection_of(&TrackName::new("SD").unwrap());
        assert_eq!(sd, policy.protection);
    }

    #[test]
    fn tracks_that_share_a_key_ask_for_the_strictest_of_each() {
        let policy = Policy::from_json(
            br#"{"name":"p","protection":{"widevine":{"security_level":1},"clear_key":{"allow":true}},
                "tracks":{"UHD1":{"widevine":{"hdcp":"v2.2"},"clear_key":{"allow":false}},
                          "HD":{"widevine":{"hdcp":"v1","security_level":3}},"AUDIO":{}}}"#,
            None,
        )
        .unwrap();
        let of = |track: &str| {
            let protection = policy.protection_of(&TrackName::new(track).unwrap());
            let level = protection.widevine.security_level.map(WidevineSecurityLevel::number);
            (protection.widevine.hdcp, level, protection.clear_key.allow)
        };
        assert_eq!(of("SD"), (None, Some(1), Some(true)));
        assert_eq!(of("SD+HD"), (Some(WidevineHdcp::V1), Some(3), Some(true)));
        assert_eq!(of("HD2"), of("HD"));
        assert_eq!(of("UHD"), of("UHD1"));
        for all in ["ALL", "VIDEO", "HD+UHD1", "STEREO_AUDIO+HD1+UHD"] {
            assert_eq!(of(all), (Some(WidevineHdcp::V2_2), Some(3), Some(false)), "{all}");
        }
        assert_eq!(of("a-name-of-its-own"), of("SD"));
    }

    #[test]
    fn durations_only_ever_get_shorter() {
        let s = NonZeroU32::new;
        let policy = Policy {
            license_duration_s: s(60),
            rental_duration_s: s(10),
            ..Policy::streaming(PolicyName::new("p").unwrap())
        };
        let narrowed = policy.limited_to(s(30), s(20), s(5));
        let found = (narrowed.license_duration_s, narrowed.rental_duration_s, narrowed.playback_duration_s);
        assert_eq!(found, (s(30), s(10), s(5)));
    }
}
