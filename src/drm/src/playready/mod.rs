//! PlayReady: the provider, the PlayReady Object and the header in it.
//!
//! Headers have the lowest version that can express their content, for the oldest clients that can play it:
//! 4.0 for `cenc`, 4.3 for `cbcs`.

mod header;
mod header_reader;
mod object;

pub use header_reader::{WrmHeader, WrmKey};
pub use object::{PlayReadyError, PlayReadyObject, Record};

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use quick_xml::escape::partial_escape;

use super::{ContentKeyInfo, DrmError, ProtectionScheme, Provider, System, SystemData, SystemId};
use keymoot_model::Kid;

/// Makes PlayReady Objects that hold one header for one key.
///
/// A header names a license URL only if the account asks for one: most players get the URL from their page or
/// manifest, and a URL in a header can never be changed in packaged content.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlayReady;

impl PlayReady {
    fn header(self, info: &ContentKeyInfo<'_>) -> Result<String, DrmError> {
        let license_url = info.playready_license_url;
        match info.scheme {
            ProtectionScheme::Cenc => {
                let checksum = info.key.map(|key| checksum(key, &info.kid));
                Ok(header::counter_mode(&info.kid, checksum, license_url))
            }
            // No checksum is defined for keys used in CBC mode.
            ProtectionScheme::Cbcs => Ok(header::cbc_mode(&info.kid, license_url)),
            ProtectionScheme::Cens | ProtectionScheme::Cbc1 => Err(DrmError::SchemeNotPlayable {
                system: System::PlayReady,
                scheme: info.scheme,
                playable: "cenc or cbcs",
            }),
        }
    }
}

impl Provider for PlayReady {
    fn system_id(&self) -> SystemId {
        SystemId::PLAYREADY
    }

    fn system_data(&self, info: &ContentKeyInfo<'_>) -> Result<SystemData, DrmError> {
        let object = PlayReadyObject::with_header(&self.header(info)?)?;
        Ok(SystemData { uuid: self.system_id(), data: object.to_bytes() })
    }

    fn kids(&self, data: &[u8]) -> Result<Vec<Kid>, DrmError> {
        let header = PlayReadyObject::parse(data)?.header()?;
        Ok(header.keys.into_iter().map(|key| key.kid).collect())
    }
}

/// Where PlayReady clients ask for licenses: an absolute URL, escaped for the header's XML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseUrl(String);

impl LicenseUrl {
    /// The longest escaped URL. A header should stay near one kilobyte, and the whole uDRM answer below four.
    pub(crate) const ESCAPED_BYTES_MAX: usize = 256;

    /// Checks a URL.
    ///
    /// # Errors
    /// [`DrmError::LicenseUrl`] when it is relative, too long, or holds characters that a URL cannot hold.
    pub fn new(url: &str) -> Result<Self, DrmError> {
        let refused = |problem: String| Err(DrmError::LicenseUrl { url: url.to_owned(), problem });
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if !host.is_some_and(|host| !host.is_empty() && !host.starts_with('/')) {
            return refused("it must begin with https:// or http:// and a host".to_owned());
        }
        if let Some((before, wrong)) = url.chars().enumerate().find(|(_, c)| !c.is_ascii_graphic()) {
            let problem = format!("{wrong:?} at character {} cannot stand in a URL; escape it", before + 1);
            return refused(problem);
        }
        let escaped = partial_escape(url);
        if escaped.len() > Self::ESCAPED_BYTES_MAX {
            let problem = format!("escaped for XML it is longer than {} bytes", Self::ESCAPED_BYTES_MAX);
            return refused(problem);
        }
        Ok(Self(escaped.into_owned()))
    }

    /// The URL, escaped for XML.
    fn as_xml(&self) -> &str {
        &self.0
    }
}

/// The key id in PlayReady's GUID order: the first three groups little-endian.
///
/// The swap is its own inverse.
fn swap_guid(bytes: &[u8; 16]) -> [u8; 16] {
    let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = *bytes;
    let [d0, d1, d2, d3, d4, d5, d6, d7] = rest;
    [a3, a2, a1, a0, b1, b0, c1, c0, d0, d1, d2, d3, d4, d5, d6, d7]
}

/// The checksum by which a client detects that key and key id do not match: the first eight bytes of the
/// little-endian key id, encrypted as one AES block under the key.
fn checksum(key: &[u8; 16], kid: &Kid) -> [u8; 8] {
    let mut block = aes::Block::from(swap_guid(kid.as_bytes()));
    Aes128::new(key.into()).encrypt_block(&mut block);
    let [c0, c1, c2, c3, c4, c5, c6, c7, ..]: [u8; 16] = block.into();
    [c0, c1, c2, c3, c4, c5, c6, c7]
}

#[cfg(test)]
mod tests;
