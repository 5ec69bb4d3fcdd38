//! What an answer says of the demands of licenses: HDCP, robustness, allowed content protection.
//!
//! The caller takes it from the policy by which licenses are issued, so that what is signalled and what is licensed
//! never disagree.

use std::collections::BTreeMap;

use keymoot_model::{
    FairPlayHdcp, PlayReadyProtection, Protection, WidevineHdcp, WidevineProtection, WidevineSecurityLevel,
};

use super::DrmSystem;

/// Widevine's names of its security levels, of level 1 first.
const WIDEVINE_ROBUSTNESS: [&str; 5] =
    ["SW_SECURE_CRYPTO", "SW_SECURE_DECODE", "HW_SECURE_CRYPTO", "HW_SECURE_DECODE", "HW_SECURE_ALL"];
/// PlayReady's security levels, the lowest first.
const PLAYREADY_LEVELS: [u16; 3] = [150, 2000, 3000];

/// The demands of licenses for one key. Empty: nothing is demanded, and nothing signalled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySignals {
    /// The protection of outputs; `None` when the policy says nothing of it.
    pub hdcp: Option<Hdcp>,
    pub systems: BTreeMap<DrmSystem, SystemSignals>,
}

impl PolicySignals {
    /// What a policy's protection demands of players of these systems. An output must do for whichever of them plays, so
    /// HDCP is the strictest that one of them demands.
    pub fn of(protection: &Protection, systems: &[DrmSystem]) -> Self {
        let mut signals = Self::default();
        for system in systems {
            let (hdcp, own) = match system {
                DrmSystem::Widevine => {
                    (protection.widevine.hdcp.map(widevine_hdcp), widevine(&protection.widevine))
                }
                DrmSystem::PlayReady => {
                    (playready_hdcp(&protection.playready), playready(&protection.playready))
                }
                DrmSystem::FairPlay => {
                    (protection.fairplay.hdcp.map(fairplay_hdcp), SystemSignals::default())
                }
                DrmSystem::Aes128 | DrmSystem::Common | DrmSystem::ClearKey | DrmSystem::Primetime => {
                    continue;
                }
            };
            signals.hdcp = signals.hdcp.max(hdcp);
            if own != SystemSignals::default() {
                signals.systems.insert(*system, own);
            }
        }
        signals
    }
}

fn widevine_hdcp(hdcp: WidevineHdcp) -> Hdcp {
    match hdcp {
        WidevineHdcp::None => Hdcp::None,
        WidevineHdcp::V1 => Hdcp::V1,
        WidevineHdcp::V2 => Hdcp::V2_0,
        WidevineHdcp::V2_1 => Hdcp::V2_1,
        WidevineHdcp::V2_2 => Hdcp::V2_2,
        // No player offers an output that is not to be used; what comes nearest is the strictest.
        WidevineHdcp::V2_3 | WidevineHdcp::NoDigitalOutput => Hdcp::V2_3,
    }
}

fn fairplay_hdcp(hdcp: FairPlayHdcp) -> Hdcp {
    match hdcp {
        FairPlayHdcp::None => Hdcp::None,
        FairPlayHdcp::Type0 => Hdcp::V1,
        FairPlayHdcp::Type1 => Hdcp::V2_2,
    }
}

/// From 270 on, uncompressed video leaves by HDCP or in less than full resolution only.
fn playready_hdcp(asked: &PlayReadyProtection) -> Option<Hdcp> {
    let level = asked.uncompressed_digital_video?.number();
    Some(if level >= 270 { Hdcp::V1 } else { Hdcp::None })
}

fn widevine(asked: &WidevineProtection) -> SystemSignals {
    let at = |level: WidevineSecurityLevel| usize::from(level.number().saturating_sub(1));
    let allowed = asked.security_level.and_then(|level| WIDEVINE_ROBUSTNESS.get(at(level)..));
    let Some(allowed @ [least, ..]) = allowed else { return SystemSignals::default() };
    SystemSignals {
        robustness: Some((*least).to_owned()),
        hls_allowed_cpc: Some(format!("com.widevine.alpha:{}", allowed.join("/"))),
    }
}

fn playready(asked: &PlayReadyProtection) -> SystemSignals {
    let Some(least) = asked.minimum_security_level.map(|level| level.number()) else {
        return SystemSignals::default();
    };
    let allowed = PLAYREADY_LEVELS.into_iter().filter(|level| *level >= least);
    let allowed: Vec<String> = allowed.map(|level| level.to_string()).collect();
    SystemSignals {
        robustness: Some(least.to_string()),
        hls_allowed_cpc: Some(format!("com.microsoft.playready:{}", allowed.join("/"))),
    }
}

/// The demands of one system's licenses, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemSignals {
    /// For DASH: `HW_SECURE_ALL`, `3000`.
    pub robustness: Option<String>,
    /// For HLS, the entry of `ALLOWED-CPC`: `com.widevine.alpha:HW`.
    pub hls_allowed_cpc: Option<String>,
}

/// The least version of HDCP that protects an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hdcp {
    /// None is needed.
    None,
    V1,
    V2_0,
    V2_1,
    V2_2,
    V2_3,
}

impl Hdcp {
    /// `HDCP-LEVEL` of HLS: type 1 is version 2.2 and later.
    pub(crate) const fn hls_level(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::V1 | Self::V2_0 | Self::V2_1 => "TYPE-0",
            Self::V2_2 | Self::V2_3 => "TYPE-1",
        }
    }

    /// DASH's descriptor; there is none where nothing is needed.
    pub(crate) fn dash_descriptor(self) -> Option<String> {
        let version = match self {
            Self::None => return None,
            Self::V1 => "1.0",
            Self::V2_0 => "2.0",
            Self::V2_1 => "2.1",
            Self::V2_2 => "2.2",
            Self::V2_3 => "2.3",
        };
        Some(format!(
            "<OutputProtection xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
             schemeIdUri=\"urn:mpeg:dash:output-protection:hdcp:2020\" value=\"{version}\"/>"
        ))
    }
}

#[cfg(test)]
mod tests {
    use keymoot_model::Policy;

    use super::*;

    fn signals(protection: &str, systems: &[DrmSystem]) -> PolicySignals {
        let document = format!(r#"{{"name":"p","protection":{protection}}}"#);
        let policy = Policy::from_json(document.as_bytes(), None).unwrap();
        PolicySignals::of(&policy.protection, systems)
    }

    #[test]
    fn the_strictest_output_of_the_systems_that_are_asked_is_signalled() {
        let both = r#"{"widevine":{"hdcp":"v1"},"fairplay":{"hdcp":"type1"}}"#;
        use DrmSystem::{FairPlay, PlayReady, Widevine};
        assert_eq!(signals(both, &[Widevine]).hdcp, Some(Hdcp::V1));
        assert_eq!(signals(both, &[Widevine, FairPlay]).hdcp, Some(Hdcp::V2_2));
        assert_eq!(signals(both, &[PlayReady]), PolicySignals::default());
        assert_eq!(
            signals(r#"{"widevine":{"hdcp":"no_digital_output"}}"#, &[Widevine]).hdcp,
            Some(Hdcp::V2_3)
        );
        let level = |level: u16| {
            signals(&format!(r#"{{"playready":{{"uncompressed_digital_video":{level}}}}}"#), &[PlayReady])
                .hdcp
        };
        assert_eq!((level(250), level(300)), (Some(Hdcp::None), Some(Hdcp::V1)));
    }

    #[test]
    fn robustness_is_the_least_and_allowed_is_it_and_all_above() {
        let asked = r#"{"widevine":{"security_level":4},"playready":{"minimum_security_level":2000}}"#;
        let told = signals(asked, &[DrmSystem::Widevine, DrmSystem::PlayReady, DrmSystem::FairPlay]);
        let of = |robustness: &str, cpc: &str| SystemSignals {
            robustness: Some(robustness.to_owned()),
            hls_allowed_cpc: Some(cpc.to_owned()),
        };
        let widevine = of("HW_SECURE_DECODE", "com.widevine.alpha:HW_SECURE_DECODE/HW_SECURE_ALL");
        let playready = of("2000", "com.microsoft.playready:2000/3000");
        let systems = [(DrmSystem::Widevine, widevine), (DrmSystem::PlayReady, playready)].into();
        assert_eq!(told, PolicySignals { hdcp: None, systems });
    }

    #[test]
    fn every_level_of_a_policy_has_its_name() {
        let levels = WidevineSecurityLevel::ALLOWED;
        assert_eq!(levels.iter().map(|level| usize::from(*level)).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(PLAYREADY_LEVELS, keymoot_model::PlayReadySecurityLevel::ALLOWED);
    }
}
