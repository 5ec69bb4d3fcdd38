//! Where the certificate of the API listener comes from, and which names stand in it.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::DnsName;
use serde::{Deserialize, Serialize};

/// Where the certificate of a listener comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsSource {
    /// From files that the operator keeps; without them the listener speaks plain HTTP.
    #[default]
    Files,
    /// The node makes it from the cluster's authority, and renews it.
    Cluster,
    /// There is none: the listener speaks plain HTTP because the operator says so.
    Off,
}

/// A DNS name or an address of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TlsName(String);

/// The text is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a DNS name, such as km1.example.net, nor an IP address; a port does not belong to it"
)]
pub struct TlsNameError(String);

impl TlsName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TlsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TlsName {
    type Error = TlsNameError;

    fn try_from(text: String) -> Result<Self, TlsNameError> {
        let is_address = text.parse::<IpAddr>().is_ok();
        // What looks like an address and is none would be a name that no client can dial.
        let is_name =
            text.parse::<std::net::SocketAddr>().is_err() && DnsName::try_from(text.as_str()).is_ok();
        if is_address || is_name { Ok(Self(text)) } else { Err(TlsNameError(text)) }
    }
}

impl std::str::FromStr for TlsName {
    type Err = TlsNameError;

    fn from_str(text: &str) -> Result<Self, TlsNameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<TlsName> for String {
    fn from(name: TlsName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_taken_and_what_no_client_dials_is_not() {
        for sound in ["km1.example.net", "km1", "10.1.2.3", "fd00::1"] {
            assert_eq!(sound.parse::<TlsName>().map(|name| name.to_string()), Ok(sound.to_owned()));
        }
        for wrong in ["", "km1:8081", "10.1.2.3:8081", "*.example.net", "a b", "https://km1"] {
            assert!(wrong.parse::<TlsName>().is_err(), "{wrong}");
        }
    }
}
