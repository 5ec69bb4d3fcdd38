//! By what URL this server is called in what it answers.
//!
//! A client says for which host its request is, and a proxy that is trusted says for which host it was asked.
//! Players are sent there, so it must be a name of this server where its names are known; and the address that
//! stands for all of a machine's is never one.

use std::net::SocketAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};

use keymoot_auth::allowed;

use crate::api::Api;
use crate::listener::connection::Connection;
use crate::listener::settings::Authority;
use crate::request::host::host;
use crate::request::proofs;

static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The base of the URLs at which players ask for licenses, where their account has none of its own: the
/// configured one, else this server as it was asked for.
pub(crate) fn license_base(request: &HttpRequest, api: &Api) -> String {
    match &api.license_url {
        Some(url) => url.as_str().to_owned(),
        None => own_url(request, api),
    }
}

/// This server as the request calls it; by another of its names where that is none of them.
pub(crate) fn own_url(request: &HttpRequest, api: &Api) -> String {
    let way = Way::of(request, api);
    let scheme = way.scheme.unwrap_or_else(|| proofs::scheme(request));
    let is_own = |host: &String| is_sound(host) && api.authorities.accept(host);
    let asked = way.host.or_else(|| host(request).map(str::to_owned));
    let local = Connection::of(request).map_or(request.app_config().local_addr(), |own| own.local);
    match asked.filter(is_own) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", known_name(scheme, local, api)),
    }
}

/// A name of the server that listens at `local`, without a request that has one. Where clients come by proxies,
/// its port is not theirs.
pub(crate) fn known_name(scheme: &str, local: SocketAddr, api: &Api) -> String {
    let own_port = if scheme == "https" { 443 } else { 80 };
    let port = Some(local.port()).filter(|port| *port != own_port && api.trusted_proxies.is_empty());
    api.authorities.first(port).map_or_else(|| local.to_string(), |name| name.to_string())
}

/// Whether a host can be reached by that name.
fn is_sound(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|host| !host.is_unspecified())
}

/// What a trusted proxy says of the request that it was asked. The last proxy's word counts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Way {
    host: Option<String>,
    scheme: Option<&'static str>,
}

impl Way {
    fn of(request: &HttpRequest, api: &Api) -> Self {
        match request.peer_addr() {
            Some(peer) if allowed(peer.ip(), &api.trusted_proxies) => Self::read(request),
            _ => Self::default(),
        }
    }

    /// `Forwarded` (RFC 7239), or the headers from before it.
    fn read(request: &HttpRequest) -> Self {
        let last = |name: &HeaderName| {
            let value = request.headers().get_all(name).last()?.to_str().ok()?;
            value.rsplit(',').next().map(str::trim)
        };
        let mut way = Self {
            host: last(&FORWARDED_HOST).map(str::to_owned),
            scheme: last(&FORWARDED_PROTO).and_then(scheme),
        };
        for pair in last(&header::FORWARDED).unwrap_or_default().split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "host" => way.host = Some(value.to_owned()),
                "proto" => way.scheme = scheme(value),
                _ => {}
            }
        }
        way
    }
}

fn scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|scheme| scheme.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn way(headers: &[(&'static str, &str)]) -> (Option<String>, Option<&'static str>) {
        let request =
            headers.iter().fold(TestRequest::get(), |request, header| request.append_header(*header));
        let way = Way::read(&request.to_http_request());
        (way.host, way.scheme)
    }

    #[test]
    fn the_last_proxys_word_counts_in_either_form() {
        let said = |host: &str, scheme| (Some(host.to_owned()), scheme);
        assert_eq!(way(&[]), (None, None));
        let old = [("X-Forwarded-Host", "a.example, keys.example.net"), ("X-Forwarded-Proto", "https")];
        assert_eq!(way(&old), said("keys.example.net", Some("https")));
        let new =
            [("Forwarded", "for=192.0.2.1;host=a, for=10.0.0.1; Proto=HTTPS;host=\"keys.example.net:8443\"")];
        assert_eq!(way(&new), said("keys.example.net:8443", Some("https")));
        assert_eq!(way(&[old[0], ("Forwarded", "host=b;proto=ftp")]), said("b", None));
        assert_eq!(way(&[("X-Forwarded-Proto", "gopher")]), (None, None));
    }

    #[test]
    fn the_address_of_all_addresses_and_what_is_no_host_are_no_names() {
        for host in ["keys.example.net", "192.0.2.1:8081", "[2001:db8::1]:443"] {
            assert!(is_sound(host), "{host}");
        }
        for host in ["0.0.0.0:8081", "0.0.0.0", "[::]:8081", "[::]", "", "a b", "a/b", "user@a", "a?b"] {
            assert!(!is_sound(host), "{host}");
        }
    }
}
