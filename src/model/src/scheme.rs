//! The name and the strength of each authentication scheme.
//!
//! The whole product uses one order: answers announce it, accounts set their minimum by it, and a request
//! that offers several proofs is judged by the strongest.

use std::fmt;
use std::str::FromStr;

use super::Scheme;

/// The text names no scheme.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no authentication scheme; the schemes are {names}", names = Scheme::ALL.map(Scheme::name).join(", "))]
pub struct SchemeError(String);

impl Scheme {
    /// Every scheme, the strongest first.
    pub const ALL: [Self; 9] = [
        Self::MutualTls,
        Self::HttpEd25519,
        Self::HttpHmacSha256,
        Self::AwsSigV4,
        Self::Digest,
        Self::Basic,
        Self::WidevineRsa,
        Self::WidevineAes,
        Self::UdrmSha1,
    ];

    /// The scheme's name in files, on the command line and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MutualTls => "mutual-tls",
            Self::HttpEd25519 => "http-ed25519",
            Self::HttpHmacSha256 => "http-hmac-sha256",
            Self::Digest => "digest",
            Self::Basic => "basic",
            Self::UdrmSha1 => "udrm-sha1",
            Self::WidevineAes => "widevine-aes",
            Self::WidevineRsa => "widevine-rsa",
            Self::AwsSigV4 => "aws-sigv4",
        }
    }

    /// The strength; higher is stronger. Both kinds of message signatures have the same strength: they differ
    /// in who could leak the key, not in what a listener could forge.
    pub const fn strength(self) -> u8 {
        match self {
            Self::MutualTls => 50,
            Self::HttpEd25519 | Self::HttpHmacSha256 => 40,
            // It covers the whole request, but is made without a nonce.
            Self::AwsSigV4 => 35,
            Self::Digest => 30,
            Self::Basic => 20,
            // Like UdrmSha1 these signatures do not expire, but the signed text cannot be extended.
            Self::WidevineAes | Self::WidevineRsa => 15,
            Self::UdrmSha1 => 10,
        }
    }

    /// Whether it is at least as strong as `minimum`.
    pub const fn meets(self, minimum: Self) -> bool {
        self.strength() >= minimum.strength()
    }

    /// Whether the scheme belongs to the Widevine common encryption API. Such a scheme proves nothing
    /// elsewhere.
    pub const fn is_widevine(self) -> bool {
        matches!(self, Self::WidevineAes | Self::WidevineRsa)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scheme {
    type Err = SchemeError;

    fn from_str(text: &str) -> Result<Self, SchemeError> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == text).ok_or_else(|| SchemeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_all_is_in_order_of_strength_and_holds_each_once() {
        assert!(Scheme::ALL.is_sorted_by(|a, b| a.strength() >= b.strength()));
        let names: std::collections::BTreeSet<_> = Scheme::ALL.map(Scheme::name).into();
        assert_eq!(names.len(), Scheme::ALL.len());
    }

    #[test]
    fn names_read_back_and_are_those_of_the_files() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme.name().parse(), Ok(scheme));
            assert_eq!(serde_json::to_value(scheme).unwrap(), scheme.name());
        }
        assert!("sha1".parse::<Scheme>().unwrap_err().to_string().contains("udrm-sha1"));
    }

    #[test]
    fn sha1_meets_no_minimum_but_its_own() {
        let met = Scheme::ALL.into_iter().filter(|minimum| Scheme::UdrmSha1.meets(*minimum));
        assert_eq!(met.collect::<Vec<_>>(), [Scheme::UdrmSha1]);
        assert!(Scheme::HttpHmacSha256.meets(Scheme::HttpEd25519));
    }
}
