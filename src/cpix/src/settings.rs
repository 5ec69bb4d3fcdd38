//! What an account decides of the answers to its documents.

use keymoot_drm::{LicenseUrl, Registry};
use keymoot_model::{AccountId, Apart, KeyUri, Kid};

use super::DrmSystem;

/// An account's settings, as far as documents depend on them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The account; Widevine's data name it.
    pub account: AccountId,
    /// Where FairPlay's players ask for the key.
    pub fairplay_uri: FairPlayUri,
    /// Where players get a clear AES-128 key; without it a document that asks for one is refused.
    pub aes128_uri: Option<Aes128Uri>,
    /// Where DASH players get Clear Key licenses, equal alternatives; without any a document that asks for Clear Key
    /// is refused.
    pub clear_key_urls: Vec<String>,
    /// The license URL in PlayReady headers.
    pub playready_license_url: Option<LicenseUrl>,
    /// Whether keys leave encrypted only.
    pub demands_encryption: bool,
    /// What contracts of a system must keep apart.
    pub contract_rules: Vec<ContractRule>,
    /// The systems that a document may ask for; empty: all.
    pub systems: Vec<DrmSystem>,
    /// Who makes the systems' data.
    pub registry: Registry,
}

impl Settings {
    /// The defaults for an account: FairPlay at `skd://{kid}`, no address of others, nothing demanded.
    pub fn new(account: AccountId) -> Self {
        Self {
            account,
            fairplay_uri: FairPlayUri::default(),
            aes128_uri: None,
            clear_key_urls: Vec::new(),
            playready_license_url: None,
            demands_encryption: false,
            contract_rules: Vec::new(),
            systems: Vec::new(),
            registry: Registry::standard(),
        }
    }
}

/// A rule of the account for the contracts of a system: which tracks must not share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractRule {
    pub system: DrmSystem,
    pub apart: Apart,
}

/// A URI is not what it must be. The message names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    #[error("the FairPlay URI must begin with skd://")]
    NotSkd,
    #[error("the FairPlay URI must hold {{kid}} or {{base64}}, else all keys have the same URI")]
    NoKey,
    #[error("the URI holds {{{0}}}, which is no placeholder")]
    Placeholder(String),
    #[error("the AES-128 key URI must begin with https://, since the key itself travels there")]
    NotHttps,
    #[error("the AES-128 key URI must hold {{kid}}, else all keys have the same URI")]
    NoKid,
    #[error(transparent)]
    Form(#[from] keymoot_model::KeyUriError),
}

/// The URI of FairPlay keys in playlists: a template.
///
/// `{kid}` is the key id as a GUID, `{kid_hex}` and `{iv_hex}` are key id and IV in hexadecimal digits, `{base64}` is
/// the base64 of a JSON object of `ContentId`, `KeyId` (a GUID) and `IV` (hexadecimal).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FairPlayUri(String);

impl Default for FairPlayUri {
    fn default() -> Self {
        Self("skd://{kid}".to_owned())
    }
}

impl std::str::FromStr for FairPlayUri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        KeyUri::new(text)?;
        if !text.starts_with("skd://") {
            return Err(UriError::NotSkd);
        }
        let mut has_key = false;
        for piece in text.split('{').skip(1) {
            let name = piece.split_once('}').map_or(piece, |(name, _)| name);
            match name {
                "kid" | "kid_hex" | "base64" => has_key = true,
                "iv_hex" => {}
                other => return Err(UriError::Placeholder(other.chars().take(20).collect())),
            }
        }
        if has_key { Ok(Self(text.to_owned())) } else { Err(UriError::NoKey) }
    }
}

impl FairPlayUri {
    /// The URI of a key. What stands for `{base64}` comes from the caller.
    pub(crate) fn of(&self, kid: &Kid, iv_hex: &str, base64: &str) -> String {
        // Base64 comes last: nothing in it can look like a placeholder.
        self.0
            .replace("{kid}", &kid.to_string())
            .replace("{kid_hex}", &kid.to_hex())
            .replace("{iv_hex}", iv_hex)
            .replace("{base64}", base64)
    }
}

/// The URL of clear AES-128 keys in playlists: `{kid}` in it is the key id as a GUID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aes128Uri(KeyUri);

impl std::str::FromStr for Aes128Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let uri = KeyUri::new(text)?;
        if !text.starts_with("https://") {
            return Err(UriError::NotHttps);
        }
        if !uri.has_kid_placeholder() {
            return Err(UriError::NoKid);
        }
        Ok(Self(uri))
    }
}

impl Aes128Uri {
    pub(crate) fn of(&self, kid: &Kid) -> String {
        self.0.of(kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fairplay_uri_says_which_key() {
        let kid = Kid::from_bytes(*b"0123456789abcdef");
        let of = |text: &str| text.parse::<FairPlayUri>().unwrap().of(&kid, "00ff", "e30=");
        assert_eq!(of("skd://{kid}"), "skd://30313233-3435-3637-3839-616263646566");
        assert_eq!(of("skd://{kid_hex}:{iv_hex}"), "skd://30313233343536373839616263646566:00ff");
        assert_eq!(of("skd://{base64}"), "skd://e30=");
        assert_eq!("https://{kid}".parse::<FairPlayUri>(), Err(UriError::NotSkd));
        assert_eq!("skd://film".parse::<FairPlayUri>(), Err(UriError::NoKey));
        assert_eq!("skd://{kid}{x}".parse::<FairPlayUri>(), Err(UriError::Placeholder("x".to_owned())));
        assert!("skd://{kid}\"".parse::<FairPlayUri>().is_err());
    }

    #[test]
    fn a_clear_key_travels_by_https_under_its_own_uri() {
        assert!("https://keys.example/hls/key/{kid}".parse::<Aes128Uri>().is_ok());
        assert_eq!("http://keys.example/{kid}".parse::<Aes128Uri>(), Err(UriError::NotHttps));
        assert_eq!("https://keys.example/".parse::<Aes128Uri>(), Err(UriError::NoKid));
    }
}
