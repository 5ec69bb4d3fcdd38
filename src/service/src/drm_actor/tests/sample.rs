//! A key to make system data of.

use keymoot_drm::{ContentKeyInfo, LicenseUrl, ProtectionScheme};
use keymoot_model::{AccountId, ContentId, Kid, TrackName};

/// What system data is made of, owned.
pub(super) struct Sample {
    pub(super) kid: Kid,
    pub(super) key: [u8; 16],
    pub(super) content: ContentId,
    pub(super) account: AccountId,
    pub(super) track: TrackName,
    pub(super) scheme: ProtectionScheme,
    pub(super) license_url: Option<LicenseUrl>,
}

impl Sample {
    pub(super) fn fixed() -> Self {
        Self {
            kid: "33221100-5544-7766-8899-aabbccddeeff".parse().unwrap(),
            key: 0x00010203_04050607_08090a0b_0c0d0e0f_u128.to_be_bytes(),
            content: ContentId::new("a.mp4").unwrap(),
            account: AccountId::new("167").unwrap(),
            track: TrackName::default_track(),
            scheme: ProtectionScheme::Cenc,
            license_url: None,
        }
    }

    pub(super) fn info(&self) -> ContentKeyInfo<'_> {
        ContentKeyInfo {
            kid: self.kid,
            key: Some(&self.key),
            iv: None,
            content: &self.content,
            account: &self.account,
            track: &self.track,
            scheme: self.scheme,
            period: None,
            playready_license_url: self.license_url.as_ref(),
        }
    }
}
