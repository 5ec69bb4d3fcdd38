//! The encryption providers of uDRM, as their paths name them.

use std::fmt;
use std::str::FromStr;

use super::ProtectionScheme::{self, Cbc1, Cbcs, Cenc, Cens};
use super::{DrmError, System, fairplay};
use keymoot_model::{Kid, TrackName};

/// The properties of a provider. Paths, documents, help and errors are made from them.
struct Row {
    path: &'static str,
    stands_for: &'static str,
    license_path: &'static str,
    systems: &'static [System],
    /// The first is meant when none is named.
    schemes: &'static [ProtectionScheme],
}

/// Makes the enum, the list of all providers and the row of each from one list.
macro_rules! providers {
    ($($(#[$doc:meta])* $name:ident = $row:expr,)*) => {
        /// The system that a uDRM encryption request is for: the part of the path before `/encryption`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EncryptionProvider {
            $($(#[$doc])* $name,)*
        }

        impl EncryptionProvider {
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
    /// A client that names its system reads the first entry of `pssh` without checking its uuid, so it gets
    /// only that entry.
    CencWidevine = Row {
        path: "cenc/widevine",
        stands_for: "Common Encryption played by Widevine Modular",
        license_path: "cenc/widevine/license",
        systems: &[System::Widevine],
        schemes: &[Cenc, Cbcs, Cbc1, Cens],
    },
    /// `cenc/playready`: Common Encryption played by PlayReady.
    CencPlayReady = Row {
        path: "cenc/playready",
        stands_for: "Common Encryption played by PlayReady",
        license_path: "cenc/playready/license",
        systems: &[System::PlayReady],
        schemes: &[Cenc, Cbcs],
    },
    /// `cenc`: Common Encryption played by every system at once.
    ///
    /// Packagers that ask for all systems copy every entry of `pssh` into the init segment by its uuid, and
    /// know the version 1 box of Common. That entry costs 32 characters, and names the key ids for players
    /// that know neither system's own data. It comes last, for clients that read only the first entry.
    Cenc = Row {
        path: "cenc",
        stands_for: "Common Encryption played by every system at once",
        // The path covers several systems: a player appends `/widevine/license` or similar.
        license_path: "cenc",
        systems: &[System::Widevine, System::PlayReady, System::Common],
        schemes: &[Cenc, Cbcs],
    },
    /// `playready`: PlayReady with Smooth Streaming.
    ///
    /// A remark in the specification says that Smooth answers have no `pssh`, but packagers take the
    /// manifest's ProtectionHeader from it.
    PlayReady = Row {
        path: "playready",
        stands_for: "PlayReady with Smooth Streaming",
        license_path: "playready/license",
        systems: &[System::PlayReady],
        schemes: &[Cenc],
    },
    /// `widevine`: Widevine Classic, the `.wvm` format from before Common Encryption.
    ///
    /// Its packager is Google's own closed tool. It takes the content's name (the asset id) and its key, and
    /// writes the rest of the container itself; the format has no `pssh` box, and no other public structure
    /// that this server could fill. So the answer carries key, key id and content id, and no `pssh`. Keymoot
    /// serves no licenses for Classic.
    Widevine = Row {
        path: "widevine",
        stands_for: "Widevine Classic, whose answers have no `pssh`",
        license_path: "widevine/license",
        systems: &[],
        schemes: &[],
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
        schemes: &[Cbcs],
    },
    /// `cenc/primetime`: Common Encryption played by Adobe Primetime.
    ///
    /// Only its system id and the version 1 box of Common Encryption, which names the key ids, are public;
    /// the answer carries that box. Only Adobe's own tools make the DRM metadata: a client that has it stores
    /// it with the content, as a system header.
    CencPrimetime = Row {
        path: "cenc/primetime",
        stands_for: "Common Encryption played by Adobe Primetime",
        license_path: "cenc/primetime/license",
        systems: &[System::Primetime],
        schemes: &[Cenc],
    },
    /// `hls`: HLS with AES-128 over whole segments.
    ///
    /// No DRM system is involved: the playlist names a URL where the player gets the key itself. So this
    /// provider has keys of its own, apart from those that a DRM system protects, and no `pssh`.
    Hls = Row {
        path: "hls",
        stands_for: "HLS AES-128, whose keys are apart from all others and have no `pssh`",
        // A player appends the key id.
        license_path: "hls/key",
        systems: &[],
        schemes: &[],
    },
}

impl EncryptionProvider {
    /// The canonical path, without slashes at its ends.
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// The description of the provider in the published document.
    pub const fn stands_for(self) -> &'static str {
        self.row().stands_for
    }

    /// The path of the license endpoint, below the address of the license server.
    pub const fn license_path(self) -> &'static str {
        self.row().license_path
    }

    /// The systems whose data the answer's `pssh` array carries, in order. If there is none, the answer omits
    /// `pssh`: clients fail on an empty array.
    pub const fn systems(self) -> &'static [System] {
        self.row().systems
    }

    /// The paths of all providers, as a list in a sentence.
    pub fn listed() -> String {
        let paths = Self::ALL.map(Self::path);
        match paths.as_slice() {
            [all @ .., last] => format!("{} or {last}", all.join(", ")),
            [] => String::new(),
        }
    }

    /// The track whose key it returns.
    pub fn track(self) -> TrackName {
        match self {
            Self::Hls => TrackName::hls_aes_128(),
            _ => TrackName::default_track(),
        }
    }

    /// The protection schemes that all its players know; none where Common Encryption plays no part. The first
    /// is meant when none is named.
    pub const fn schemes(self) -> &'static [ProtectionScheme] {
        self.row().schemes
    }

    /// The protection scheme that is meant.
    ///
    /// # Errors
    /// [`DrmError::SchemeUnfit`] when one is named that its players do not know.
    pub fn scheme(self, named: Option<ProtectionScheme>) -> Result<ProtectionScheme, DrmError> {
        match named {
            None => Ok(self.schemes().first().copied().unwrap_or(Cenc)),
            Some(named) if self.schemes().contains(&named) => Ok(named),
            Some(scheme) => Err(DrmError::SchemeUnfit { provider: self, scheme }),
        }
    }

    /// The constant IV of a key, for packagers that encrypt under a constant IV. It is the one that FairPlay's
    /// licenses carry, so that media in `cbcs` can be played by every system.
    pub fn constant_iv(self, scheme: ProtectionScheme, kid: &Kid) -> Option<[u8; 16]> {
        (scheme == Cbcs && self.schemes().contains(&scheme)).then(|| fairplay::constant_iv(kid))
    }

    /// The provider with these path segments. Case does not matter, and empty segments are skipped: real
    /// clients send `//cenc/widevine/`.
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

    /// Parses a path.
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
    use super::super::Registry;
    use super::super::conformance::Sample;
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
    fn who_names_no_scheme_is_told_an_iv_for_fairplay_only_and_who_names_cbcs_always_the_same() {
        let kid = Kid::from_bytes([7; 16]);
        for provider in EncryptionProvider::ALL {
            let iv =
                |named| provider.scheme(named).ok().and_then(|scheme| provider.constant_iv(scheme, &kid));
            assert_eq!(iv(None).is_some(), provider == EncryptionProvider::Fps, "{provider}");
            if let Some(iv) = iv(Some(Cbcs)) {
                assert_eq!(iv, fairplay::constant_iv(&kid), "{provider}");
            }
            assert_eq!(iv(Some(Cenc)), None, "{provider}");
        }
    }

    #[test]
    fn each_provider_makes_data_for_each_of_its_schemes_and_refuses_the_others() {
        for provider in EncryptionProvider::ALL {
            for scheme in ProtectionScheme::ALL {
                let sample = Sample { scheme, ..Sample::fixed() };
                let made = Registry::standard().system_data(provider, &sample.info());
                let is_its_own = provider.schemes().contains(&scheme);
                assert!(made.is_ok() || !is_its_own, "{provider} {scheme}");
                assert_eq!(provider.scheme(Some(scheme)).is_ok(), is_its_own, "{provider} {scheme}");
            }
        }
        let said =
            |provider: EncryptionProvider, scheme| provider.scheme(Some(scheme)).unwrap_err().to_string();
        assert!(said(EncryptionProvider::Fps, Cenc).contains("goes with cbcs only"));
        assert!(said(EncryptionProvider::Cenc, Cens).contains("goes with cenc or cbcs"));
        assert!(said(EncryptionProvider::Hls, Cenc).contains("leave scheme out"));
    }
}
