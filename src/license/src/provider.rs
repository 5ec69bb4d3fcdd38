//! The license providers of uDRM, as their paths name them.

use std::fmt;

use keymoot_drm::EncryptionProvider;

/// All that is said of a provider anywhere.
struct Row {
    path: &'static str,
    label: &'static str,
}

/// Makes the providers, the list of all of them and the row of each from one list.
macro_rules! providers {
    ($($(#[$doc:meta])* $name:ident = $row:expr,)*) => {
        /// Which system a license request is for: the part of the path before `/license`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum LicenseProvider {
            $($(#[$doc])* $name,)*
        }

        impl LicenseProvider {
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

// Who plays what was encrypted for a provider asks for its license below the same path.
providers! {
    /// `cenc/clearkey`: the Clear Key system of W3C EME, for development and for content that needs
    /// no more.
    ClearKey = Row { path: "cenc/clearkey", label: "clearkey" },
    /// `cenc/widevine`: Widevine (Modular).
    CencWidevine = Row { path: EncryptionProvider::CencWidevine.path(), label: "widevine" },
    /// `cenc/playready`: PlayReady with Common Encryption.
    CencPlayReady = Row { path: EncryptionProvider::CencPlayReady.path(), label: "playready" },
    /// `playready`: PlayReady with Smooth Streaming. The license is the same.
    PlayReady = Row { path: EncryptionProvider::PlayReady.path(), label: "playready" },
    /// `fps`: FairPlay Streaming.
    FairPlay = Row { path: EncryptionProvider::Fps.path(), label: "fairplay" },
    /// `widevine`: Widevine Classic.
    WidevineClassic = Row { path: EncryptionProvider::Widevine.path(), label: "widevine_classic" },
}

impl LicenseProvider {
    /// The canonical path, without slashes at its ends.
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// The label under which its licenses are counted.
    pub const fn label(self) -> &'static str {
        self.row().label
    }
}

impl fmt::Display for LicenseProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}
