//! The key tag of HLS playlists, attribute by attribute in the order that encryptors compare.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keymoot_drm::{SystemData, fairplay};
use keymoot_model::Kid;

use crate::DrmSystem;
use crate::settings::Settings;
use crate::wanted::WantedKey;

/// All formats here have one version.
pub(super) const KEY_FORMAT_VERSIONS: &str = "1";

/// The attributes of a key tag.
pub(super) struct HlsKey {
    method: &'static str,
    pub(super) uri: String,
    pub(super) key_format: &'static str,
}

impl HlsKey {
    /// `None` for systems that HLS does not know.
    pub(super) fn new(
        system: DrmSystem,
        wanted: &WantedKey,
        kid: &Kid,
        iv: Option<[u8; 16]>,
        data: Option<&SystemData>,
        settings: &Settings,
    ) -> Option<Self> {
        let sample_method = if wanted.scheme.is_counter_mode() { "SAMPLE-AES-CTR" } else { "SAMPLE-AES" };
        Some(match system {
            DrmSystem::Widevine => Self {
                method: sample_method,
                uri: format!("data:text/plain;base64,{}", STANDARD.encode(data?.pssh_box())),
                key_format: "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed",
            },
            DrmSystem::PlayReady => Self {
                method: sample_method,
                uri: format!("data:text/plain;charset=UTF-16;base64,{}", STANDARD.encode(&data?.data)),
                key_format: "com.microsoft.playready",
            },
            DrmSystem::FairPlay => Self {
                method: "SAMPLE-AES",
                uri: fairplay_uri(wanted, kid, iv, settings),
                key_format: "com.apple.streamingkeydelivery",
            },
            DrmSystem::Aes128 => {
                Self { method: "AES-128", uri: settings.aes128_uri.as_ref()?.of(kid), key_format: "identity" }
            }
            DrmSystem::Common | DrmSystem::ClearKey | DrmSystem::Primetime => return None,
        })
    }

    /// The whole line. METHOD comes first; what follows has the order that each system's encryptors compare.
    pub(super) fn line(&self, tag: &str, system: DrmSystem) -> String {
        let Self { method, uri, key_format } = self;
        match system {
            DrmSystem::PlayReady => format!(
                "{tag}:METHOD={method},KEYFORMAT=\"{key_format}\",KEYFORMATVERSIONS=\"{KEY_FORMAT_VERSIONS}\",URI=\"{uri}\""
            ),
            _ => format!(
                "{tag}:METHOD={method},URI=\"{uri}\",KEYFORMAT=\"{key_format}\",KEYFORMATVERSIONS=\"{KEY_FORMAT_VERSIONS}\""
            ),
        }
    }
}

/// The URI that FairPlay's players hand to their key server. The IV is the one of the answer, else the one that
/// licenses have for the key id.
fn fairplay_uri(wanted: &WantedKey, kid: &Kid, iv: Option<[u8; 16]>, settings: &Settings) -> String {
    let iv = Kid::from_bytes(iv.unwrap_or_else(|| fairplay::constant_iv(kid))).to_hex();
    let json = format!(
        "{{\"ContentId\":{},\"KeyId\":\"{kid}\",\"IV\":\"{iv}\"}}",
        json_string(wanted.content.as_str())
    );
    settings.fairplay_uri.of(kid, &iv, &STANDARD.encode(json))
}

/// A JSON string. Content ids hold no control characters.
fn json_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
