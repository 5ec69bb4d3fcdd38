//! Which authorities (host and port) a message signature may be for (RFC 9421, 2.2.3).
//!
//! A request that was signed for another server and is relayed to this one covers that server's name. It proves
//! what its sender wanted there, not here.

use std::net::{IpAddr, SocketAddr};

use crate::listener::settings::{Authority, TlsName};

/// The names of this server, as clients ask for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    /// Those that the configuration lists.
    listed: Vec<Authority>,
    /// Those in the certificate that the node makes, at any port.
    certified: Vec<String>,
    listen: Option<SocketAddr>,
}

impl Authorities {
    /// Those of a configuration: what it lists, the names in the node's own certificate, and where it listens.
    pub fn new(listed: &[Authority], certified: &[TlsName], listen: SocketAddr) -> Self {
        let certified = certified.iter().map(|name| name.as_str().to_ascii_lowercase()).collect();
        Self { listed: listed.to_vec(), certified, listen: Some(listen) }
    }

    /// The first name that the configuration lists, or else the certificate has, at `port` unless it is listed with
    /// another.
    pub(crate) fn first(&self, port: Option<u16>) -> Option<Authority> {
        let certified = || self.certified.first().map(|name| Authority::of_host(name));
        let first = self.listed.first().cloned().or_else(certified)?;
        Some(match port {
            Some(port) => first.or_at(port),
            None => first,
        })
    }

    /// Whether a request for this authority is for this server. Every one is where the configuration lists none:
    /// those from before list none.
    pub(crate) fn accept(&self, authority: &str) -> bool {
        if self.listed.is_empty() {
            return true;
        }
        let Ok(asked) = authority.parse::<Authority>() else { return false };
        let is_certified = |name: &String| name == asked.host();
        asked.is_loopback()
            || self.listed.iter().any(|own| own.holds(&asked))
            || self.certified.iter().any(is_certified)
            || self.listen.is_some_and(|listen| is_at(&asked, listen))
    }
}

fn is_at(asked: &Authority, listen: SocketAddr) -> bool {
    let host = asked.host().parse::<IpAddr>();
    host.is_ok_and(|host| host == listen.ip()) && asked.port().is_none_or(|port| port == listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(listed: &[&str], asked: &str) -> bool {
        let listed: Vec<Authority> = listed.iter().map(|text| text.parse().unwrap()).collect();
        let certified = ["Km1.example.net".to_owned().try_into().unwrap()];
        Authorities::new(&listed, &certified, "10.1.2.3:8081".parse().unwrap()).accept(asked)
    }

    #[test]
    fn the_first_name_is_the_listed_one_or_the_certificates() {
        let listen = "10.1.2.3:8081".parse().unwrap();
        let certified = ["Km1.example.net".to_owned().try_into().unwrap()];
        let listed = ["keys.example.net:8443".parse().unwrap()];
        let first = |listed: &[Authority], certified: &[TlsName], port| {
            Authorities::new(listed, certified, listen).first(port).map(|first| first.to_string())
        };
        assert_eq!(first(&listed, &certified, Some(8081)).as_deref(), Some("keys.example.net:8443"));
        assert_eq!(first(&[], &certified, Some(8081)).as_deref(), Some("km1.example.net:8081"));
        assert_eq!(first(&[], &certified, None).as_deref(), Some("km1.example.net"));
        let ipv6 = ["fd00::1".to_owned().try_into().unwrap()];
        assert_eq!(first(&[], &ipv6, Some(1)).as_deref(), Some("[fd00::1]:1"));
        assert_eq!(first(&[], &[], Some(1)), None);
    }

    #[test]
    fn a_request_that_was_signed_for_another_server_is_not_for_this_one() {
        let listed = ["keys.example.net", "drm.example.net:8443"];
        for own in [
            "keys.example.net",
            "keys.example.net:9000",
            "drm.example.net:8443",
            "km1.example.net:8081",
            "10.1.2.3:8081",
            "127.0.0.1:8081",
            "[::1]:1",
            "localhost",
        ] {
            assert!(accepts(&listed, own), "{own}");
        }
        for foreign in [
            "keys.example.org",
            "drm.example.net",
            "drm.example.net:8444",
            "10.1.2.3:8082",
            "10.1.2.4:8081",
            "x.keys.example.net",
            "keys.example.net.",
            "127.0.0.1.example.net",
            "user@keys.example.net",
            "",
        ] {
            assert!(!accepts(&listed, foreign), "{foreign}");
        }
        assert!(accepts(&[], "anything.example.org"), "a configuration from before lists none");
    }
}
