//! The license providers of uDRM, by the names in their paths.

use std::fmt;

use keymoot_drm::EncryptionProvider;

use super::system::NotServed;

/// Why Clear Key licenses are not served.
pub(crate) const NO_CLEAR_KEY: &str = "Clear Key licenses are not served for this account: they hold keys in the \
    clear; license.clear_key_accounts names the accounts that want that";

/// Why nothing serves the licenses of Widevine Classic.
const NO_CLASSIC: &str = "licenses of Widevine Classic are not served: its license server is not public; Widevine \
    licenses are at /cenc/widevine/license";

/// The properties of a provider.
struct Row {
    path: &'static str,
    label: &'static str,
    /// The caller's message where no system serves the provider; by default, that no license server
    /// is configured.
    unserved: Option<&'static str>,
    challenge: ChallengeForm,
    license_type: &'static str,
}

/// What a provider's challenges look like.
#[derive(Clone, Copy, Debug)]
pub struct ChallengeForm {
    /// Its media type.
    pub media_type: &'static str,
    /// How one begins.
    pub example: &'static str,
}

const BYTES: &str = "application/octet-stream";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const XML: &str = "text/xml";
const UTF8_XML: &str = "text/xml; charset=utf-8";

/// What Widevine and FairPlay take and give: bytes.
const OPAQUE: ChallengeForm = ChallengeForm { media_type: BYTES, example: "CAES" };
const SOAP: ChallengeForm = ChallengeForm { media_type: XML, example: "<soap:Envelope/>" };
/// The request of W3C Clear Key.
const KEY_IDS: ChallengeForm = ChallengeForm {
    media_type: JSON,
    example: "{\"kids\":[\"AAECAwQFBgcICQoLDA0ODw\"],\"type\":\"temporary\"}",
};
const CLASSIC: ChallengeForm = ChallengeForm { media_type: FORM, example: "" };

/// Makes the enum of the providers, the list of all of them and the row of each from one list.
macro_rules! providers {
    ($($(#[$doc:meta])* $name:ident = $row:expr,)*) => {
        /// Which system a license request is for: the part of the path before `/license`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum LicenseProvider {
            $($(#[$doc])* $name,)*
        }

        impl LicenseProvider {
            pub const ALL: [Self; [$(Self::$name),*].len()] = [$(Self::$name),*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$name => $row,)*
                }
            }
        }
    };
}

// A player of content that was encrypted for a provider requests its license below the same path.
providers! {
    /// `cenc/clearkey`: the Clear Key system of W3C EME, for development and for content that needs
    /// no more.
    ClearKey = Row {
        path: "cenc/clearkey",
        label: "clearkey",
        unserved: Some(NO_CLEAR_KEY),
        challenge: KEY_IDS,
        license_type: JSON,
    },
    /// `cenc/widevine`: Widevine (Modular).
    CencWidevine = Row {
        path: EncryptionProvider::CencWidevine.path(),
        label: "widevine",
        unserved: None,
        challenge: OPAQUE,
        license_type: BYTES,
    },
    /// `cenc/playready`: PlayReady with Common Encryption.
    CencPlayReady = Row {
        path: EncryptionProvider::CencPlayReady.path(),
        label: "playready",
        unserved: None,
        challenge: SOAP,
        license_type: UTF8_XML,
    },
    /// `playready`: PlayReady with Smooth Streaming. The license is the same.
    PlayReady = Row {
        path: EncryptionProvider::PlayReady.path(),
        label: "playready",
        unserved: None,
        challenge: SOAP,
        license_type: UTF8_XML,
    },
    /// `fps`: FairPlay Streaming.
    FairPlay = Row {
        path: EncryptionProvider::Fps.path(),
        label: "fairplay",
        unserved: None,
        challenge: OPAQUE,
        license_type: JSON,
    },
    /// `widevine`: Widevine Classic.
    WidevineClassic = Row {
        path: EncryptionProvider::Widevine.path(),
        label: "widevine_classic",
        unserved: Some(NO_CLASSIC),
        challenge: CLASSIC,
        license_type: BYTES,
    },
}

impl LicenseProvider {
    /// The canonical path, without leading and trailing slashes.
    pub const fn path(self) -> &'static str {
        self.row().path
    }

    /// The reason why the provider's licenses are not served where it has no system.
    pub(crate) fn unserved(self) -> NotServed {
        NotServed(match self.row().unserved {
            Some(reason) => reason.into(),
            None => {
                format!("licenses of {} are not served: no license server is configured for it", self.label())
                    .into()
            }
        })
    }

    /// What its challenges look like.
    pub const fn challenge_form(self) -> ChallengeForm {
        self.row().challenge
    }

    /// The media type of its licenses.
    pub const fn license_type(self) -> &'static str {
        self.row().license_type
    }

    /// The DRM system's label in metrics.
    pub const fn label(self) -> &'static str {
        self.row().label
    }
}

impl fmt::Display for LicenseProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}
