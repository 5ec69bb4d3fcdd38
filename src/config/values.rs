//! Types of single values.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::AccountId;

/// `HOST:PORT` as other nodes dial it: a DNS name, an IPv4 address or an IPv6 address in brackets.
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

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
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

/// `PID=ACCOUNT`: the account that a packager's partner id stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagerAccount {
    /// The partner id, as it stands in the packager's paths.
    pub pid: String,
    /// The account.
    pub account: AccountId,
}

/// The text is no `PID=ACCOUNT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an entry is PID=ACCOUNT, a partner id of letters and digits and the account it stands for")]
pub struct PackagerAccountError;

impl TryFrom<String> for PackagerAccount {
    type Error = PackagerAccountError;
    fn try_from(text: String) -> Result<Self, PackagerAccountError> {
        let (pid, account) = text.split_once('=').ok_or(PackagerAccountError)?;
        let pid_fits = (1..=64).contains(&pid.len()) && pid.chars().all(|c| c.is_ascii_alphanumeric());
        match AccountId::new(account) {
            Ok(account) if pid_fits => Ok(Self { pid: pid.to_owned(), account }),
            _ => Err(PackagerAccountError),
        }
    }
}

impl From<PackagerAccount> for String {
    fn from(entry: PackagerAccount) -> String {
        format!("{}={}", entry.pid, entry.account)
    }
}

/// A web site as browsers name it in `Origin`: scheme, host and a port that is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebOrigin(String);

/// The text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is https:// or http:// and a lower-case host, with a port only if it is not 443 or 80, and \
     without a path or a slash behind it"
)]
pub struct WebOriginError;

impl WebOrigin {
    /// The text, as it stands in `Origin`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = WebOriginError;
    fn try_from(text: String) -> Result<Self, WebOriginError> {
        let secure = text.strip_prefix("https://").map(|host| (host, ":443"));
        let plain = || text.strip_prefix("http://").map(|host| (host, ":80"));
        let (host, own_port) = secure.or_else(plain).ok_or(WebOriginError)?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._:[]".contains(c);
        if host.is_empty()
            || !host.chars().all(allowed)
            || host.ends_with([':', '.'])
            || host.ends_with(own_port)
        {
            return Err(WebOriginError);
        }
        Ok(Self(text))
    }
}

impl From<WebOrigin> for String {
    fn from(origin: WebOrigin) -> String {
        origin.0
    }
}

/// Reads an empty text as "not set" and writes it back so: TOML has no null, and every key must
/// be in the file that ships.
pub(super) mod empty_is_none {
    use serde::de::{DeserializeOwned, IntoDeserializer as _};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub(in super::super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        T::deserialize(text.into_deserializer()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_and_its_account_stand_around_an_equals_sign() {
        let read = PackagerAccount::try_from("437=demo".to_owned()).unwrap();
        assert_eq!((read.pid.as_str(), read.account.as_str()), ("437", "demo"));
        assert_eq!(String::from(read), "437=demo");
        for bad in ["", "437", "=demo", "437=", "4/7=demo", "437=a b", "a=b=c"] {
            assert!(PackagerAccount::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in ["https://player.example.net", "http://localhost:8080", "https://[::1]:8443"] {
            assert_eq!(WebOrigin::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "*", "player.example.net", "https://", "https://a/", "https://A", "https://a:443"] {
            assert_eq!(WebOrigin::try_from(bad.to_owned()), Err(WebOriginError), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_host_and_port() {
        for good in ["10.0.0.1:9081", "km-1.example.net:9081", "localhost:1", "[::1]:9081"] {
            assert_eq!(PeerAddress::new(good).map(|a| a.to_string()), Ok(good.to_owned()));
        }
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
