//! The address on which other nodes reach a node.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `HOST:PORT` in the form that other nodes dial: a DNS name, an IPv4 address or an IPv6 address in
/// brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerAddress(String);

/// The text is no `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address is HOST:PORT, with a port from 1 to 65535 and an IPv6 address in brackets")]
pub struct PeerAddressError;

impl PeerAddress {
    /// Checks `text` and makes the address.
    ///
    /// # Errors
    /// [`PeerAddressError`] when host or port is missing or malformed.
    pub fn new(text: impl Into<String>) -> Result<Self, PeerAddressError> {
        let text = text.into();
        let (host, port) = text.rsplit_once(':').ok_or(PeerAddressError)?;
        let port_fits = port.parse::<u16>().is_ok_and(|port| port != 0) && !port.starts_with('+');
        if port_fits && is_host(host) { Ok(Self(text)) } else { Err(PeerAddressError) }
    }

    /// The address in its original form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host: a DNS name or an address, without brackets.
    pub fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or(self.0.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    host.len() <= 253 && host.split('.').all(label)
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;
    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        Self::new(text)
    }
}

impl TryFrom<String> for PeerAddress {
    type Error = PeerAddressError;
    fn try_from(text: String) -> Result<Self, PeerAddressError> {
        Self::new(text)
    }
}

impl From<PeerAddress> for String {
    fn from(address: PeerAddress) -> String {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for good in ["10.0.0.1:9081", "km-1.example.net:9081", "localhost:1", "[::1]:9081"] {
            assert_eq!(PeerAddress::new(good).map(|a| a.to_string()), Ok(good.to_owned()));
        }
        assert_eq!(PeerAddress::new("[::1]:9081").unwrap().host(), "::1");
        assert_eq!(PeerAddress::new("km-1.example.net:9081").unwrap().host(), "km-1.example.net");
        for bad in [
            "",
            "host",
            "host:",
            ":9081",
            "host:0",
            "host:65536",
            "host:+1",
            "::1:9081",
            "[::1",
            "a b:1",
            "a..b:1",
        ] {
            assert!(PeerAddress::new(bad).is_err(), "{bad:?}");
        }
    }
}
