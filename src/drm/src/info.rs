//! The properties of a content key that a provider may use.
//!
//! They include the plaintext key only because PlayReady needs a checksum made with it. It is borrowed or
//! zeroized on drop, and no `Debug` text shows it.

use std::fmt;

use zeroize::Zeroizing;

use super::{LicenseUrl, ProtectionScheme};
use keymoot_model::{AccountId, ContentId, Kid, Period, TrackName};

/// A content key as the providers see it.
#[derive(Clone, Copy)]
pub struct ContentKeyInfo<'a> {
    pub kid: Kid,
    /// The plaintext key, only for checksums; without it the checksum is left out.
    pub key: Option<&'a [u8; 16]>,
    /// The constant IV, for systems that announce one.
    pub iv: Option<[u8; 16]>,
    pub content: &'a ContentId,
    pub account: &'a AccountId,
    pub track: &'a TrackName,
    /// How samples are encrypted under it.
    pub scheme: ProtectionScheme,
    /// The crypto period of the key; `None` when the key holds for the whole track.
    pub period: Option<Period>,
    /// The license URL in the account's PlayReady headers.
    pub playready_license_url: Option<&'a LicenseUrl>,
}

impl fmt::Debug for ContentKeyInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentKeyInfo")
            .field("kid", &self.kid)
            .field("key", &self.key.map(|_| "redacted"))
            .field("iv", &self.iv)
            .field("content", self.content)
            .field("account", self.account)
            .field("track", self.track)
            .field("scheme", &self.scheme)
            .field("period", &self.period)
            .field("playready_license_url", &self.playready_license_url)
            .finish()
    }
}

/// The same, owned, so that it can travel to an actor. Deliberately not `Clone`: it may hold a key.
pub struct OwnedContentKeyInfo {
    pub kid: Kid,
    /// The plaintext key, only for checksums; zeroized on drop.
    pub key: Option<Zeroizing<[u8; 16]>>,
    /// The constant IV, for systems that announce one.
    pub iv: Option<[u8; 16]>,
    pub content: ContentId,
    pub account: AccountId,
    pub track: TrackName,
    /// How samples are encrypted under it.
    pub scheme: ProtectionScheme,
    /// The crypto period of the key; `None` when the key holds for the whole track.
    pub period: Option<Period>,
    /// The license URL in the account's PlayReady headers.
    pub playready_license_url: Option<LicenseUrl>,
}

impl OwnedContentKeyInfo {
    /// The borrowed form, as providers take it.
    pub fn as_info(&self) -> ContentKeyInfo<'_> {
        ContentKeyInfo {
            kid: self.kid,
            key: self.key.as_deref(),
            iv: self.iv,
            content: &self.content,
            account: &self.account,
            track: &self.track,
            scheme: self.scheme,
            period: self.period,
            playready_license_url: self.playready_license_url.as_ref(),
        }
    }
}

impl fmt::Debug for OwnedContentKeyInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_info(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_never_shows_the_key() {
        let info = OwnedContentKeyInfo {
            kid: Kid::from_bytes([1; 16]),
            key: Some(Zeroizing::new([0xAB; 16])),
            iv: None,
            content: ContentId::new("a.mp4").unwrap(),
            account: AccountId::new("167").unwrap(),
            track: TrackName::default_track(),
            scheme: ProtectionScheme::Cenc,
            period: None,
            playready_license_url: None,
        };
        let text = format!("{info:?}");
        assert!(text.contains("redacted") && text.contains("a.mp4"), "{text}");
        assert!(!text.contains("171") && !text.to_lowercase().contains("ab, ab"), "{text}");
    }
}
