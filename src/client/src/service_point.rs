//! The service points of a key server: base URLs, in order of preference.

use std::fmt;
use std::str::FromStr;

use ureq::http::Uri;

/// Why a text is not a service point, or texts are not a list of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServicePointError {
    /// The text is not a base URL.
    #[error("`{given}` is no service point: give https://HOST[:PORT] or http://HOST[:PORT]")]
    Form {
        /// The text, shortened.
        given: String,
    },
    /// The URL has a user, a query or a fragment, which requests do not use.
    #[error("a service point's URL carries no user, query or fragment")]
    Extra,
    /// The list is empty, or longer than [`ServicePoints::MAX`].
    #[error("give 1 to {max} service points", max = ServicePoints::MAX)]
    Count,
    /// The list has a service point twice.
    #[error("the service point {0} is given twice; the second must be another one")]
    Twice(ServicePoint),
}

/// A base URL of a key server: scheme, host, port, and a path when a proxy needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePoint {
    base: String,
    authority: String,
    secure: bool,
}

impl ServicePoint {
    /// The URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// Host and port, in the form of the `Host` header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URL's path before that of each request, without a trailing slash; usually empty.
    pub fn path(&self) -> &str {
        let rest = self.base.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
    }

    /// Whether the connection is encrypted and the key server proves its identity.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether requests stay on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let ip = self.authority.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(host);
        host == "localhost" || ip.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for ServicePoint {
    type Err = ServicePointError;

    fn from_str(text: &str) -> Result<Self, ServicePointError> {
        let form = || ServicePointError::Form { given: text.chars().take(80).collect() };
        if text.contains(['?', '#', '@']) {
            return Err(ServicePointError::Extra);
        }
        let uri: Uri = text.trim().parse().map_err(|_| form())?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(form)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(form()),
        };
        let authority = authority.as_str().to_ascii_lowercase();
        let scheme = if secure { "https" } else { "http" };
        let base = format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(Self { base, authority, secure })
    }
}

impl fmt::Display for ServicePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// The service points of a client, the most preferred first; at least one, no two the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePoints(Vec<ServicePoint>);

impl ServicePoints {
    /// The most service points that a client accepts.
    pub const MAX: usize = 16;

    /// Checks a list.
    ///
    /// # Errors
    /// [`ServicePointError`] when it is empty, too long, or has a service point twice.
    pub fn new(points: Vec<ServicePoint>) -> Result<Self, ServicePointError> {
        if points.is_empty() || points.len() > Self::MAX {
            return Err(ServicePointError::Count);
        }
        let twice =
            points.iter().enumerate().find(|(at, point)| points.iter().take(*at).any(|p| p == *point));
        match twice {
            Some((_, point)) => Err(ServicePointError::Twice(point.clone())),
            None => Ok(Self(points)),
        }
    }

    /// All service points, in order.
    pub fn as_slice(&self) -> &[ServicePoint] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(text: &str) -> ServicePoint {
        text.parse().unwrap()
    }

    #[test]
    fn a_base_url_loses_its_last_slash_and_keeps_its_path() {
        assert_eq!(point("HTTP://Keys.Example:8081/").as_str(), "http://keys.example:8081");
        assert_eq!(point("https://keys.example/moot/").as_str(), "https://keys.example/moot");
        assert!(point("https://[::1]:1").is_secure());
        assert_eq!((point("http://a:1").path(), point("http://a/b/c/").path()), ("", "/b/c"));
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for text in ["", "keys.example", "ftp://a", "http://", "/a", "a:1", "http://a b"] {
            assert!(matches!(text.parse::<ServicePoint>(), Err(ServicePointError::Form { .. })), "{text:?}");
        }
        for text in ["http://user:pw@a", "http://a?b", "http://a/#c"] {
            assert_eq!(text.parse::<ServicePoint>(), Err(ServicePointError::Extra), "{text:?}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for text in ["http://127.0.0.1:1", "http://localhost", "http://[::1]:9", "http://127.9.9.9"] {
            assert!(point(text).is_loopback(), "{text}");
        }
        for text in ["http://10.0.0.1:1", "http://localhost.example", "http://[2001:db8::1]:9"] {
            assert!(!point(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn two_points_that_are_the_same_are_no_redundancy() {
        let given = vec![point("http://a:1"), point("http://b:1"), point("http://A:1/")];
        assert_eq!(ServicePoints::new(given), Err(ServicePointError::Twice(point("http://a:1"))));
        assert_eq!(ServicePoints::new(Vec::new()), Err(ServicePointError::Count));
    }
}
