//! What each system says of a key in manifests, playlists and files: the values of its elements, all base64.

mod dash;
mod hls;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keymoot_drm::{ContentKeyInfo, SystemData};
use keymoot_model::TrackName;
use zeroize::Zeroizing;

use super::fault::{Fault, FaultKind};
use super::settings::Settings;
use super::wanted::WantedKey;
use super::{DrmSystem, SystemElement};

/// A key as the systems see it.
pub(crate) struct SignalledKey<'a> {
    pub(crate) wanted: &'a WantedKey,
    /// The key id of the answer, which the server may have replaced.
    pub(crate) kid: keymoot_model::Kid,
    /// The key, for PlayReady's checksum; without it there is no checksum.
    pub(crate) key: Option<&'a [u8; 16]>,
    pub(crate) iv: Option<[u8; 16]>,
}

/// What one system says of one key.
pub(crate) struct SystemValues<'a> {
    system: DrmSystem,
    key: &'a SignalledKey<'a>,
    settings: &'a Settings,
    data: Option<SystemData>,
}

impl<'a> SystemValues<'a> {
    pub(crate) fn new(
        system: DrmSystem,
        key: &'a SignalledKey<'a>,
        settings: &'a Settings,
    ) -> Result<Self, Fault> {
        let track = TrackName::default_track();
        let info = ContentKeyInfo {
            kid: key.kid,
            key: key.key,
            iv: key.iv,
            content: &key.wanted.content,
            account: &settings.account,
            // Neither track nor period is told: licenses are asked for by key id, and a period that Widevine is told
            // would make its players expect the license server to rotate.
            track: &track,
            scheme: key.wanted.scheme,
            period: None,
            playready_license_url: settings.playready_license_url.as_ref(),
        };
        let data = match system.provider() {
            Some(provider) => Some(settings.registry.provider(provider).system_data(&info)?),
            None => None,
        };
        Ok(Self { system, key, settings, data })
    }

    /// The text of an element. The reader refused what a system has no value for.
    pub(crate) fn value(&self, element: SystemElement) -> Result<String, Fault> {
        let value = match element {
            SystemElement::Pssh => self.data.as_ref().map(|data| STANDARD.encode(data.pssh_box())),
            SystemElement::ContentProtectionData => self.content_protection().map(|xml| STANDARD.encode(xml)),
            SystemElement::HlsMedia => self.hls("#EXT-X-KEY"),
            SystemElement::HlsMaster => self.hls("#EXT-X-SESSION-KEY"),
            SystemElement::SmoothHeader => match self.system {
                DrmSystem::PlayReady => self.data.as_ref().map(|data| STANDARD.encode(&data.data)),
                _ => None,
            },
            SystemElement::UriExtXKey => self.hls_key().map(|key| STANDARD.encode(key.uri)),
            SystemElement::KeyFormat => self.hls_key().map(|key| STANDARD.encode(key.key_format)),
            SystemElement::KeyFormatVersions => {
                self.hls_key().map(|_| STANDARD.encode(hls::KEY_FORMAT_VERSIONS))
            }
        };
        value.ok_or_else(|| {
            Fault::from(FaultKind::Internal).because(format!(
                "{} has no value for {}",
                self.system,
                element.name()
            ))
        })
    }

    /// The elements inside of DASH's `ContentProtection`.
    fn content_protection(&self) -> Option<String> {
        if self.system == DrmSystem::ClearKey {
            return Some(dash::license_urls(&self.settings.clear_key_urls));
        }
        let data = self.data.as_ref()?;
        let mut xml = dash::pssh(&data.pssh_box());
        if self.system == DrmSystem::PlayReady {
            xml.push_str(&dash::playready_object(&data.data));
        }
        Some(xml)
    }

    fn hls(&self, tag: &str) -> Option<String> {
        Some(STANDARD.encode(self.hls_key()?.line(tag, self.system)))
    }

    fn hls_key(&self) -> Option<hls::HlsKey> {
        let SignalledKey { wanted, kid, iv, .. } = self.key;
        hls::HlsKey::new(self.system, wanted, kid, *iv, self.data.as_ref(), self.settings)
    }
}

/// Key text as it stands in the document.
pub(crate) fn key_text(key: &[u8; 16]) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(key))
}
