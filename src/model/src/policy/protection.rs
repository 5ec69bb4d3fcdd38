//! Requirements of a track on a device and its outputs, system by system (uDRM 2.4.1 to 2.4.3).
//!
//! A member that is left out requires nothing. When one protection is laid over another, a member that the
//! upper one leaves out keeps the lower one's value.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::level::{
    AnalogLevel, AudioLevel, CompressedVideoLevel, PlayReadySecurityLevel, UncompressedVideoLevel,
    WidevineSecurityLevel,
};

/// The requirements of a track, for each system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Protection {
    pub widevine: WidevineProtection,
    pub playready: PlayReadyProtection,
    pub fairplay: FairPlayProtection,
    pub clear_key: ClearKeyProtection,
}

impl Protection {
    /// This protection; members that it leaves out come from `base`.
    #[must_use]
    pub fn over(&self, base: &Self) -> Self {
        Self {
            widevine: self.widevine.over(&base.widevine),
            playready: self.playready.over(&base.playready),
            fairplay: FairPlayProtection { hdcp: self.fairplay.hdcp.or(base.fairplay.hdcp) },
            clear_key: ClearKeyProtection { allow: self.clear_key.allow.or(base.clear_key.allow) },
        }
    }
}

impl Protection {
    /// The stricter of each requirement of the two.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        let fairplay = self.fairplay.hdcp.max(other.fairplay.hdcp);
        Self {
            widevine: self.widevine.stricter(&other.widevine),
            playready: self.playready.stricter(&other.playready),
            fairplay: FairPlayProtection { hdcp: fairplay },
            clear_key: ClearKeyProtection { allow: least(self.clear_key.allow, other.clear_key.allow) },
        }
    }
}

/// What both permit: nobody's `false` is overruled, and silence neither.
fn least(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// Requirements for Widevine devices (uDRM 2.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WidevineProtection {
    /// How the device must guard keys and pictures.
    pub security_level: Option<WidevineSecurityLevel>,
    /// Digital outputs: the HDCP version.
    pub hdcp: Option<WidevineHdcp>,
    /// Analog outputs: the copy control that is signalled (CGMS-A, in Classic "EMI").
    pub cgms_a: Option<CgmsA>,
    /// Analog outputs: the analog protection system (Macrovision).
    pub aps: Option<Aps>,
    /// Analog outputs: the constrained image trigger.
    pub cit: Option<bool>,
    /// Whether analog outputs are switched off.
    pub disable_analog_output: Option<bool>,
}

impl WidevineProtection {
    fn over(&self, base: &Self) -> Self {
        Self {
            security_level: self.security_level.or(base.security_level),
            hdcp: self.hdcp.or(base.hdcp),
            cgms_a: self.cgms_a.or(base.cgms_a),
            aps: self.aps.or(base.aps),
            cit: self.cit.or(base.cit),
            disable_analog_output: self.disable_analog_output.or(base.disable_analog_output),
        }
    }
}

impl WidevineProtection {
    fn stricter(&self, other: &Self) -> Self {
        Self {
            security_level: self.security_level.max(other.security_level),
            hdcp: self.hdcp.max(other.hdcp),
            cgms_a: self.cgms_a.max(other.cgms_a),
            aps: self.aps.max(other.aps),
            cit: self.cit.max(other.cit),
            disable_analog_output: self.disable_analog_output.max(other.disable_analog_output),
        }
    }
}

/// HDCP versions as Widevine distinguishes them, in ascending order of strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WidevineHdcp {
    #[serde(rename = "none")]
    None,
    /// HDCP 1.x.
    #[serde(rename = "v1")]
    V1,
    /// HDCP 2.0.
    #[serde(rename = "v2")]
    V2,
    /// HDCP 2.1.
    #[serde(rename = "v2.1")]
    V2_1,
    /// HDCP 2.2.
    #[serde(rename = "v2.2")]
    V2_2,
    /// HDCP 2.3.
    #[serde(rename = "v2.3")]
    V2_3,
    /// No digital output at all.
    #[serde(rename = "no_digital_output")]
    NoDigitalOutput,
}

/// Copy control (CGMS-A) of an analog output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CgmsA {
    CopyFree,
    /// No further copies: the content is a copy already.
    CopyNoMore,
    CopyOnce,
    CopyNever,
}

impl PartialOrd for CgmsA {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By how few copies they permit.
impl Ord for CgmsA {
    fn cmp(&self, other: &Self) -> Ordering {
        let strictness = |level: &Self| match level {
            Self::CopyFree => 0,
            Self::CopyOnce => 1,
            Self::CopyNoMore => 2,
            Self::CopyNever => 3,
        };
        strictness(self).cmp(&strictness(other))
    }
}

/// The analog protection system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aps {
    Off,
    /// Automatic gain control.
    Type1,
    /// Automatic gain control with two-line colour stripe.
    Type2,
    /// Automatic gain control with four-line colour stripe.
    Type3,
}

/// Requirements for PlayReady devices (uDRM 2.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlayReadyProtection {
    /// How the device must guard keys and pictures.
    pub minimum_security_level: Option<PlayReadySecurityLevel>,
    /// Minimum Compressed Digital Audio Output Protection Level.
    pub compressed_digital_audio: Option<AudioLevel>,
    /// Minimum Uncompressed Digital Audio Output Protection Level.
    pub uncompressed_digital_audio: Option<AudioLevel>,
    /// Minimum Compressed Digital Video Output Protection Level.
    pub compressed_digital_video: Option<CompressedVideoLevel>,
    /// Minimum Uncompressed Digital Video Output Protection Level.
    pub uncompressed_digital_video: Option<UncompressedVideoLevel>,
    /// Minimum Analog Television Output Protection Level.
    pub analog_television: Option<AnalogLevel>,
}

impl PlayReadyProtection {
    fn over(&self, base: &Self) -> Self {
        Self {
            minimum_security_level: self.minimum_security_level.or(base.minimum_security_level),
            compressed_digital_audio: self.compressed_digital_audio.or(base.compressed_digital_audio),
            uncompressed_digital_audio: self.uncompressed_digital_audio.or(base.uncompressed_digital_audio),
            compressed_digital_video: self.compressed_digital_video.or(base.compressed_digital_video),
            uncompressed_digital_video: self.uncompressed_digital_video.or(base.uncompressed_digital_video),
            analog_television: self.analog_television.or(base.analog_television),
        }
    }
}

impl PlayReadyProtection {
    fn stricter(&self, other: &Self) -> Self {
        Self {
            minimum_security_level: self.minimum_security_level.max(other.minimum_security_level),
            compressed_digital_audio: self.compressed_digital_audio.max(other.compressed_digital_audio),
            uncompressed_digital_audio: self.uncompressed_digital_audio.max(other.uncompressed_digital_audio),
            compressed_digital_video: self.compressed_digital_video.max(other.compressed_digital_video),
            uncompressed_digital_video: self.uncompressed_digital_video.max(other.uncompressed_digital_video),
            analog_television: self.analog_television.max(other.analog_television),
        }
    }
}

/// Requirements for FairPlay devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FairPlayProtection {
    /// Digital outputs: the type of HDCP.
    pub hdcp: Option<FairPlayHdcp>,
}

/// HDCP types as FairPlay distinguishes them, in ascending order of strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FairPlayHdcp {
    None,
    /// Type 0: any version.
    Type0,
    /// Type 1: version 2.2 or later.
    Type1,
}

/// Whether Clear Key may serve a track. Clear Key protects neither keys nor outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClearKeyProtection {
    /// `true`: even when the track requires protection of other systems, which Clear Key cannot provide.
    /// `false`: never. Left out: only when the track requires none of them.
    pub allow: Option<bool>,
}
