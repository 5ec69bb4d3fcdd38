//! The license providers of uDRM, as their paths name them.

use std::fmt;

/// Which system a license request is for: the part of the path before `/license`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LicenseProvider {
    /// `cenc/clearkey`: the Clear Key system of W3C EME, for development and for content that needs
    /// no more.
    ClearKey,
    /// `cenc/widevine`: Widevine (Modular).
    CencWidevine,
    /// `cenc/playready`: PlayReady with Common Encryption.
    CencPlayReady,
    /// `playready`: PlayReady with Smooth Streaming. The license is the same.
    PlayReady,
    /// `fps`: FairPlay Streaming.
    FairPlay,
    /// `widevine`: Widevine Classic.
    WidevineClassic,
}

impl LicenseProvider {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ClearKey,
        Self::CencWidevine,
        Self::CencPlayReady,
        Self::PlayReady,
        Self::FairPlay,
        Self::WidevineClassic,
    ];

    /// The canonical path, without slashes at its ends.
    pub const fn path(self) -> &'static str {
        match self {
            Self::ClearKey => "cenc/clearkey",
            Self::CencWidevine => "cenc/widevine",
            Self::CencPlayReady => "cenc/playready",
            Self::PlayReady => "playready",
            Self::FairPlay => "fps",
            Self::WidevineClassic => "widevine",
        }
    }

    /// The label under which its licenses are counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ClearKey => "clearkey",
            Self::CencWidevine => "widevine",
            Self::CencPlayReady | Self::PlayReady => "playready",
            Self::FairPlay => "fairplay",
            Self::WidevineClassic => "widevine_classic",
        }
    }

    /// The provider with these lower-case path segments.
    pub fn from_segments(segments: &[&str]) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.path().split('/').eq(segments.iter().copied()))
    }
}

impl fmt::Display for LicenseProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_reads_back_from_its_path_and_nothing_else_does() {
        for provider in LicenseProvider::ALL {
            let segments: Vec<&str> = provider.path().split('/').collect();
            assert_eq!(LicenseProvider::from_segments(&segments), Some(provider));
        }
        for wrong in [&["cenc"][..], &[], &["cenc", "widevine", "x"], &["clearkey"]] {
            assert_eq!(LicenseProvider::from_segments(wrong), None);
        }
    }
}
