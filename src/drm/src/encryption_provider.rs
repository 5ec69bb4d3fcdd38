//! The encryption providers of uDRM, as their paths name them.

use std::fmt;
use std::str::FromStr;

use super::{DrmError, System, fairplay};
use keymoot_model::{Kid, TrackName};

/// All that is said of a provider anywhere: paths, documents, help and errors are made from it.
struct Row {
    path: &'static str,
    stands_for: &'static str,
    license_path: &'static str,
    systems: &'static [System],
}

/// Makes the providers, the list of all of them and the row of each from one list.
macro_rules! providers {
    ($($(#[$doc:meta])* $name:ident = $row:expr,)*) => {
        /// Which system a uDRM encryption request is for: the part of the path before `/encryption`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EncryptionProvider {
            $($(#[$doc])* $name,)*
        }

        impl EncryptionProvider {
            /// All of them.
            pub const ALL: [Self; [$(Self::$name),*].len()] = [$(Self::$name),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$name => $row,)*
                }
            }
        }
    };
}

providers! {
    /// `cenc/widevine`: Common Encryption played by Widevine (Modular).
    ///
    /// A client that names its system reads the first entry of `pssh` without looking at its uuid, so it
    /// gets that entry alone.
    CencWidevine = Row {
        path: "cenc/widevine",
        stands_for: "Common Encryption played by Widevine Modular",
        license_path: "cenc/widevine/license",
        systems: &[System::Widevine],
    },
    /// `cenc/playready`: Common Encryption played by PlayReady.
    CencPlayReady = Row {
        path: "cenc/playready",
        stands_for: "Common Encryption played by PlayReady",
        license_path: "cenc/playready/license",
        systems: &[System::PlayReady],
    },
    /// `cenc`: Common Encryption played by every system at once.
    ///
    /// Packagers that ask for all at once copy every entry of `pssh` into the init segment by its uuid, and
    /// know the version 1 box of Common. That entry costs 32 characters, and tells players without either
    /// system's own data which key ids to ask for. It comes last, for the clients that read the first.
    Cenc = Row {
        path: "cenc",
        stands_for: "Common Encryption played by every system at once",
        // It stands for several systems: a player adds `/widevine/license` or the like.
        license_path: "cenc",
        systems: &[System::Widevine, System::PlayReady, System::Common],
    },
    /// `playready`: PlayReady with Smooth Streaming.
    ///
    /// The specification's remark says that Smooth answers have no `pssh`; packagers take the manifest's
    /// ProtectionHeader from it all the same.
    PlayReady = Row {
        path: "playready",
        stands_for: "PlayReady with Smooth Streaming",
        license_path: "playready/license",
        systems: &[System::PlayReady],
    },
    /// `widevine`: Widevine Classic, the `.wvm` format from before Common Encryption.
    ///
    /// Its packager is Google's own closed tool. It takes the content's name (the asset id) and its
    /// key, and writes the rest of the container itself; no `pssh` box exists in that format, nor a
    /// public one that this server could fill. So the answer carries key, key id and content id, and
    /// no `pssh`. The license side of Classic is not served.
    Widevine = Row {
        path: "widevine",
        stands_for: "Widevine Classic, whose answers have no `pssh`",
        license_path: "widevine/license",
        systems: &[],
    },
    /// `fps`: FairPlay Streaming.
    ///
    /// No `pssh` box exists for it: the playlist names the key by an `skd://` URI, and the constant
    /// IV comes with the key. So the answer carries an `iv` and no `pssh`.
    Fps = Row {
        path: "fps",
        stands_for: "FairPlay Streaming, whose answers have an `iv` and no `pssh`",
        license_path: "fps/license",
        systems: &[],
    },
    /// `cenc/primetime`: Common Encryption played by Adobe Primetime.
    ///
    /// What is public of it is its system id and the version 1 box of Common Encryption, which names
    /// the key ids; the answer carries that. The DRM metadata behind them is made by Adobe's own
    /// tools only: a client that has it stores it with the content, as a system header.
    CencPrimetime = Row {
        path: "cenc/primetime",
        stands_for: "Common Encryption played by Adobe Primetime",
        license_path: "cenc/primetime/license",
        systems: &[System::Primetime],
    },
    /// `hls`: HLS with AES-128 over whole segments.
    ///
    /// No DRM system is behind it: the playlist names a URL, and a player gets the key itself there. So
    /// it has keys of its own, apart from those that a system protects, and no `pssh`.
    Hls = Row {
        path: "hls",
        stands_for: "HLS AES-128, whose keys are apart from all others and have no `pssh`",
        // A player adds the key id.
        license_path: "hls/key",
        systems: &[],
    },
}

impl EncryptionProvider {
    /// The canonical path, without slashes at its ends.
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// What it is, as the published document says it.
    pub const fn stands_for(self) -> &'static str {
        self.row().stands_for
    }

    /// Where players ask for licenses, below the address of their license server.
    pub const fn license_path(self) -> &'static str {
        self.row().license_path
    }

    /// The systems whose data the answer's `pssh` array carries, in its order. Where there is none,
    /// the answer leaves `pssh` out: clients trip over an empty array.
    pub const fn systems(self) -> &'static [System] {
        self.row().systems
    }

    /// The paths of all, as a sentence lists them.
    pub fn listed() -> String {
        let paths = Self::ALL.map(Self::path);
        match paths.as_slice() {
            [all @ .., last] => format!("{} or {last}", all.join(", ")),
            [] => String::new(),
        }
    }

    /// The track whose key it hands out.
    pub fn track(self) -> TrackName {
        match self {
            Self::Hls => TrackName::hls_aes_128(),
            _ => TrackName::default_track(),
        }
    }

    /// The constant IV that goes with a key, where the system's packagers need to be told one.
    pub fn constant_iv(self, kid: &Kid) -> Option<[u8; 16]> {
        (self == Self::Fps).then(|| fairplay::constant_iv(kid))
    }

    /// The provider with these path segments. Case does not matter, and empty segments are passed
    /// over: real clients send `//cenc/widevine/`.
    ///
    /// # Errors
    /// [`DrmError::UnknownProvider`] when no provider has that path.
    pub(crate) fn from_segments<'a>(segments: impl IntoIterator<Item = &'a str>) -> Result<Self, DrmError> {
        let given: Vec<&str> = segments.into_iter().filter(|segment| !segment.is_empty()).collect();
        Self::ALL
            .into_iter()
            .find(|provider| {
                let own = provider.path().split('/');
                own.clone().count() == given.len()
                    && own.zip(&given).all(|(own, given)| own.eq_ignore_ascii_case(given))
            })
            .ok_or(DrmError::UnknownProvider)
    }
}

impl FromStr for EncryptionProvider {
    type Err = DrmError;

    /// Reads a path, as [`EncryptionProvider::from_segments`] reads its segments.
    fn from_str(path: &str) -> Result<Self, DrmError> {
        Self::from_segments(path.split('/'))
    }
}

impl fmt::Display for EncryptionProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_reads_back_from_its_path_in_any_case() {
        for provider in EncryptionProvider::ALL {
            assert_eq!(provider.path().parse(), Ok(provider));
            assert_eq!(provider.path().to_uppercase().parse(), Ok(provider));
            assert_eq!(EncryptionProvider::from_segments(provider.path().split('/')), Ok(provider));
        }
        assert_eq!("playReady".parse(), Ok(EncryptionProvider::PlayReady));
    }

    #[test]
    fn doubled_and_trailing_slashes_are_passed_over() {
        assert_eq!("//cenc//widevine/".parse(), Ok(EncryptionProvider::CencWidevine));
        assert_eq!("/cenc/".parse(), Ok(EncryptionProvider::Cenc));
    }

    #[test]
    fn other_paths_are_refused() {
        for path in
            ["", "/", "fps/x", "cenc/cenc", "widevine/cenc", "cenc/widevine/x", "cencwidevine", "cenc "]
        {
            assert_eq!(path.parse::<EncryptionProvider>(), Err(DrmError::UnknownProvider), "{path:?}");
        }
    }

    #[test]
    fn who_names_none_is_told_all() {
        let told = DrmError::UnknownProvider.to_string();
        for provider in EncryptionProvider::ALL {
            assert!(told.contains(provider.path()), "{told}");
        }
        assert!(told.ends_with("cenc/primetime or hls"), "{told}");
    }

    #[test]
    fn smooth_answers_carry_playready_and_classic_and_fairplay_answers_carry_nothing() {
        assert_eq!(EncryptionProvider::PlayReady.systems(), [System::PlayReady]);
        assert!(EncryptionProvider::Widevine.systems().is_empty());
        assert!(EncryptionProvider::Fps.systems().is_empty());
    }

    #[test]
    fn only_hls_has_a_track_of_its_own() {
        for provider in EncryptionProvider::ALL {
            let is_own = provider.track() != TrackName::default_track();
            assert_eq!(is_own, provider == EncryptionProvider::Hls, "{provider}");
        }
    }

    #[test]
    fn only_fairplay_is_told_an_iv() {
        let kid = Kid::from_bytes([7; 16]);
        for provider in EncryptionProvider::ALL {
            let told = provider.constant_iv(&kid).is_some();
            assert_eq!(told, provider == EncryptionProvider::Fps, "{provider}");
        }
    }
}
