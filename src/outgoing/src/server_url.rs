//! URLs of the servers that a node sends requests to: entitlement back ends and license servers.
//!
//! Viewers' tokens and content keys travel to them, so plain HTTP is accepted for loopback
//! addresses only. No part of the URL can be a secret that a log would show.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A server's URL. Its text holds no user, no password, no query and no fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUrl(Url);

/// Why a text is not a valid server URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// The text cannot be parsed.
    #[error(
        "is no URL; write one such as https://cas.example.com/entitlements, with a host name beyond ASCII in \
         its xn-- form"
    )]
    Form,
    /// Neither https nor http.
    #[error("must start with https://")]
    Scheme,
    /// Plain HTTP to another machine.
    #[error("must start with https://: http:// is taken for loopback addresses only")]
    Plain,
    /// The URL has a part that could be a secret, or that no request carries.
    #[error("must have no user, password, query or fragment")]
    Parts,
}

impl ServerUrl {
    pub const fn url(&self) -> &Url {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// This URL with `path` appended to its path.
    pub fn below(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        Self(url)
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = ServerUrlError;

    fn try_from(text: String) -> Result<Self, ServerUrlError> {
        let url = Url::parse(&text).map_err(|_| ServerUrlError::Form)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(ServerUrlError::Plain),
            _ => return Err(ServerUrlError::Scheme),
        }
        let more = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        if more { Err(ServerUrlError::Parts) } else { Ok(Self(url)) }
    }
}

/// Whether the URL stays on this machine. Of the names, only `localhost` does: any other could
/// resolve to another host.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl From<ServerUrl> for String {
    fn from(url: ServerUrl) -> Self {
        url.0.into()
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ServerUrl, ServerUrlError> {
        ServerUrl::try_from(text.to_owned())
    }

    #[test]
    fn a_server_is_https_or_on_this_machine() {
        for good in [
            "https://cas.example.com/a",
            "https://xn--bcher-kva.example/",
            "http://127.0.0.1:9000/",
            "http://[::1]/",
            "http://localhost/",
        ] {
            assert_eq!(read(good).unwrap().as_str(), good);
        }
        for (bad, error) in [
            ("cas.example.com", ServerUrlError::Form),
            ("", ServerUrlError::Form),
            ("https://cas.bücher.example/", ServerUrlError::Form),
            ("file:///etc/passwd", ServerUrlError::Scheme),
            ("http://cas.example.com/", ServerUrlError::Plain),
            ("http://localhost.example.com/", ServerUrlError::Plain),
            ("http://10.0.0.1/", ServerUrlError::Plain),
            ("https://user@cas.example.com/", ServerUrlError::Parts),
            ("https://:pass@cas.example.com/", ServerUrlError::Parts),
            ("https://cas.example.com/?token=1", ServerUrlError::Parts),
            ("https://cas.example.com/#a", ServerUrlError::Parts),
        ] {
            assert_eq!(read(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn a_path_stands_behind_the_servers_own() {
        for base in ["https://a/b", "https://a/b/"] {
            assert_eq!(read(base).unwrap().below("c/d").as_str(), "https://a/b/c/d");
        }
        assert_eq!(read("https://a").unwrap().below("c").as_str(), "https://a/c");
    }
}
