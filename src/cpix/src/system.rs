//! The DRM systems that a document can ask for, and what each can say of a key.

use std::fmt;

use keymoot_drm::{ProtectionScheme, System};
use keymoot_model::Kid;

/// A DRM system, as `DRMSystem@systemId` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DrmSystem {
    Widevine,
    PlayReady,
    FairPlay,
    /// HLS with AES-128 over whole segments: players get the key itself.
    Aes128,
    /// The W3C's `cenc` initialisation data.
    Common,
    /// The W3C's Clear Key, as DASH announces it.
    ClearKey,
    Primetime,
}

/// An element of a `DRMSystem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemElement {
    Pssh,
    ContentProtectionData,
    /// `HLSSignalingData` for media playlists.
    HlsMedia,
    /// `HLSSignalingData` for the master playlist.
    HlsMaster,
    /// `SmoothStreamingProtectionHeaderData`, or SPEKE 1's `ProtectionHeader`.
    SmoothHeader,
    /// The URI of `EXT-X-KEY` alone, of SPEKE 1 and of CPIX up to 2.2.
    UriExtXKey,
    /// SPEKE 1's `KeyFormat`.
    KeyFormat,
    /// SPEKE 1's `KeyFormatVersions`.
    KeyFormatVersions,
}

impl DrmSystem {
    pub const ALL: [Self; 7] = [
        Self::Widevine,
        Self::PlayReady,
        Self::FairPlay,
        Self::Aes128,
        Self::Common,
        Self::ClearKey,
        Self::Primetime,
    ];

    /// The system with this id. Clear AES-128 has two: SPEKE 2 and SPEKE 1 differ.
    pub fn of_id(id: &Kid) -> Option<Self> {
        Some(match u128::from_be_bytes(*id.as_bytes()) {
            0xedef8ba9_79d6_4ace_a3c8_27dcd51d21ed => Self::Widevine,
            0x9a04f079_9840_4286_ab92_e65be0885f95 => Self::PlayReady,
            0x94ce86fb_07ff_4f43_adb8_93d2fa968ca2 => Self::FairPlay,
            0x3ea8778f_7742_4bf9_b18b_e834b2acbd47 | 0x81376844_f976_481e_a84e_cc25d39b0b33 => Self::Aes128,
            0x1077efec_c0b2_4d02_ace3_3c1e52e2fb4b => Self::Common,
            0xe2719d58_a985_b3c9_781a_b030af78d30e => Self::ClearKey,
            0xf239e769_efa3_4850_9c16_a903c6932efb => Self::Primetime,
            _ => return None,
        })
    }

    /// The id that a document made here has; of AES-128 that of SPEKE 2.
    pub const fn id(self) -> Kid {
        Kid::from_bytes(
            match self {
                Self::Widevine => 0xedef8ba9_79d6_4ace_a3c8_27dcd51d21ed_u128,
                Self::PlayReady => 0x9a04f079_9840_4286_ab92_e65be0885f95,
                Self::FairPlay => 0x94ce86fb_07ff_4f43_adb8_93d2fa968ca2,
                Self::Aes128 => 0x3ea8778f_7742_4bf9_b18b_e834b2acbd47,
                Self::Common => 0x1077efec_c0b2_4d02_ace3_3c1e52e2fb4b,
                Self::ClearKey => 0xe2719d58_a985_b3c9_781a_b030af78d30e,
                Self::Primetime => 0xf239e769_efa3_4850_9c16_a903c6932efb,
            }
            .to_be_bytes(),
        )
    }

    /// The name in reports and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Widevine => "widevine",
            Self::PlayReady => "playready",
            Self::FairPlay => "fairplay",
            Self::Aes128 => "aes-128",
            Self::Common => "common",
            Self::ClearKey => "clear-key",
            Self::Primetime => "primetime",
        }
    }

    /// The provider of its `pssh` data, if it has such data.
    pub(crate) const fn provider(self) -> Option<System> {
        match self {
            Self::Widevine => Some(System::Widevine),
            Self::PlayReady => Some(System::PlayReady),
            Self::Common => Some(System::Common),
            Self::Primetime => Some(System::Primetime),
            Self::FairPlay | Self::Aes128 | Self::ClearKey => None,
        }
    }

    /// Whether its players know the scheme.
    pub const fn plays(self, scheme: ProtectionScheme) -> bool {
        match self {
            Self::Widevine | Self::Common | Self::ClearKey | Self::Primetime => true,
            Self::PlayReady => matches!(scheme, ProtectionScheme::Cenc | ProtectionScheme::Cbcs),
            Self::FairPlay => matches!(scheme, ProtectionScheme::Cbcs),
            Self::Aes128 => matches!(scheme, ProtectionScheme::Cbc1),
        }
    }

    /// What it says of a key when a document asks for all: an element without children.
    pub const fn elements(self, is_speke_1: bool) -> &'static [SystemElement] {
        use SystemElement as E;
        match (self, is_speke_1) {
            (Self::Widevine, false) => &[E::Pssh, E::ContentProtectionData, E::HlsMedia, E::HlsMaster],
            (Self::PlayReady, false) => {
                &[E::Pssh, E::ContentProtectionData, E::HlsMedia, E::HlsMaster, E::SmoothHeader]
            }
            (Self::FairPlay | Self::Aes128, false) => &[E::HlsMedia, E::HlsMaster],
            (Self::PlayReady, true) => &[E::Pssh, E::ContentProtectionData, E::SmoothHeader],
            (Self::FairPlay | Self::Aes128, true) => &[E::UriExtXKey, E::KeyFormat, E::KeyFormatVersions],
            (Self::Common | Self::Primetime, _) | (Self::Widevine, true) => {
                &[E::Pssh, E::ContentProtectionData]
            }
            (Self::ClearKey, _) => &[E::ContentProtectionData],
        }
    }

    /// Whether it has a value for the element.
    pub const fn has(self, element: SystemElement) -> bool {
        use SystemElement as E;
        match self {
            Self::Widevine => !matches!(element, E::SmoothHeader),
            Self::PlayReady => true,
            Self::FairPlay | Self::Aes128 => {
                !matches!(element, E::Pssh | E::ContentProtectionData | E::SmoothHeader)
            }
            Self::Common | Self::Primetime => matches!(element, E::Pssh | E::ContentProtectionData),
            Self::ClearKey => matches!(element, E::ContentProtectionData),
        }
    }

    /// Whether the element may stay empty though the document holds it. Encryptors send the same children for each
    /// system, also those of ISO files for systems that only HLS has.
    pub(crate) const fn tolerates(self, element: SystemElement) -> bool {
        use SystemElement as E;
        matches!(self, Self::FairPlay | Self::Aes128)
            && matches!(element, E::Pssh | E::ContentProtectionData | E::SmoothHeader)
    }
}

impl fmt::Display for DrmSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl SystemElement {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pssh => "PSSH",
            Self::ContentProtectionData => "ContentProtectionData",
            Self::HlsMedia => "HLSSignalingData media",
            Self::HlsMaster => "HLSSignalingData master",
            Self::SmoothHeader => "Smooth header",
            Self::UriExtXKey => "URIExtXKey",
            Self::KeyFormat => "KeyFormat",
            Self::KeyFormatVersions => "KeyFormatVersions",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_is_found_by_its_id() {
        for system in DrmSystem::ALL {
            assert_eq!(DrmSystem::of_id(&system.id()), Some(system));
            assert_eq!(
                system
                    .provider()
                    .map(|provider| keymoot_drm::Registry::standard().provider(provider).system_id()),
                system.provider().map(|_| keymoot_drm::SystemId::from_bytes(*system.id().as_bytes()))
            );
        }
        let speke_1 = "81376844-f976-481e-a84e-cc25d39b0b33".parse().unwrap();
        assert_eq!(DrmSystem::of_id(&speke_1), Some(DrmSystem::Aes128));
        assert_eq!(DrmSystem::of_id(&Kid::from_bytes([0; 16])), None);
    }

    #[test]
    fn a_system_has_whatever_an_empty_element_asks_for() {
        for system in DrmSystem::ALL {
            for is_speke_1 in [false, true] {
                let elements = system.elements(is_speke_1);
                assert!(!elements.is_empty() && elements.iter().all(|element| system.has(*element)));
            }
        }
    }
}
