//! A name by which clients ask for this server: a host, and a port if only that one is meant.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::TlsName;

/// A host in lower case, and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Authority {
    host: String,
    port: Option<u16>,
}

/// The text is no authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no HOST or HOST:PORT, such as keys.example.net or [fd00::1]:8081")]
pub struct AuthorityError(String);

impl Authority {
    /// That of a name in a certificate, at any port.
    pub(crate) fn of_host(name: &str) -> Self {
        Self { host: name.to_owned(), port: None }
    }

    /// The same at this port, unless it has one.
    pub(crate) fn or_at(self, port: u16) -> Self {
        Self { port: self.port.or(Some(port)), ..self }
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; none: any.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether `asked` is this one: of the same host, and of the port if this has one.
    pub fn holds(&self, asked: &Self) -> bool {
        self.host == asked.host && (self.port.is_none() || self.port == asked.port)
    }

    /// Whether it is the address that stands for all of a machine's, which nobody can ask.
    pub fn is_unspecified(&self) -> bool {
        self.host.parse().is_ok_and(|host: IpAddr| host.is_unspecified())
    }

    /// Whether it names the machine itself.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|host: IpAddr| host.is_loopback())
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || AuthorityError(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(error)?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':').ok_or_else(error)?),
                };
                (host.parse::<std::net::Ipv6Addr>().map_err(|_| error())?.to_string(), port)
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (text.to_owned(), None),
            },
        };
        let host = TlsName::try_from(host).map_err(|_| error())?.as_str().to_ascii_lowercase();
        let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.map(|port| port.parse().ok().filter(|_| is_number(port)).ok_or_else(error));
        Ok(Self { host, port: port.transpose()? })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl TryFrom<String> for Authority {
    type Error = AuthorityError;

    fn try_from(text: String) -> Result<Self, AuthorityError> {
        text.parse()
    }
}

impl From<Authority> for String {
    fn from(authority: Authority) -> Self {
        authority.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_read_and_written_alike() {
        for text in
            ["keys.example.net", "keys.example.net:443", "10.1.2.3:8081", "[fd00::1]", "[fd00::1]:8081"]
        {
            assert_eq!(text.parse::<Authority>().unwrap().to_string(), text);
        }
        assert_eq!("Keys.Example.NET".parse::<Authority>().unwrap().host(), "keys.example.net");
        for wrong in
            ["", ":80", "a b", "https://a", "fd00::1", "a:port", "a:+1", "a:99999", "[::1]x", "[::1", "a/b"]
        {
            assert!(wrong.parse::<Authority>().is_err(), "{wrong}");
        }
    }
}
