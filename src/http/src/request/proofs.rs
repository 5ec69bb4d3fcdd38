//! What of a request proofs are about: the parts that they cover, and what the connection shows.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::Bytes;

use ipnet::IpNet;

use keymoot_auth::{ClientCertificate, PresentedProofs, allowed};
use keymoot_protocol::Envelope;

use crate::api::Api;
use crate::listener::connection::Connection;
use crate::request::clock::now_s;

/// The header that says what signatures cover (RFC 9421 4.1).
static SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// By which scheme a proxy was asked.
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Headers that proxies add. Whoever is none has no reason to send them.
static PROXY_HEADERS: [HeaderName; 4] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    header::FORWARDED,
    header::VIA,
];

/// Whether the request shows a proof in its headers. Most do not, and need no [`envelope`].
pub(crate) fn has_proof(request: &HttpRequest) -> bool {
    let headers = request.headers();
    headers.contains_key(&SIGNATURE_INPUT) || headers.contains_key(header::AUTHORIZATION)
}

/// The parts of a request that a proof may cover. What the request says of its own way here, in
/// `Forwarded` and the like, is not believed: a client that signs behind a proxy that ends TLS
/// covers @authority, @path and @query in place of @target-uri.
pub(crate) fn envelope(request: &HttpRequest, body: Bytes) -> Envelope {
    let scheme = scheme(request);
    let text = |value: &actix_web::http::header::HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = request.headers().iter();
    Envelope {
        method: request.method().as_str().to_owned(),
        scheme,
        authority: authority(request, scheme),
        path: request.uri().path().to_owned(),
        query: request.uri().query().map(str::to_owned),
        // A header that is no text cannot be covered, and none of ours is such.
        headers: headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect(),
        body,
        received_at_s: now_s(),
    }
}

/// Whether nobody on the way could read what the request says: it came over TLS, a trusted proxy says so, or the
/// configuration takes passwords from this machine itself and no proxy stands between.
pub(crate) fn is_confidential(request: &HttpRequest, api: &Api) -> bool {
    is_secure(request) || is_vouched_for(request, &api.trusted_proxies, api.loopback_passwords)
}

/// A proxy on this machine has its address, but not its clients' way here: so an address proves nothing by itself.
fn is_vouched_for(request: &HttpRequest, trusted_proxies: &[IpNet], loopback_passwords: bool) -> bool {
    let Some(peer) = request.peer_addr().map(|peer| peer.ip().to_canonical()) else { return false };
    let headers = request.headers();
    if allowed(peer, trusted_proxies) {
        let mut schemes = headers.get_all(&FORWARDED_PROTO).peekable();
        return schemes.peek().is_some()
            && schemes
                .all(|scheme| scheme.to_str().is_ok_and(|scheme| scheme.eq_ignore_ascii_case("https")));
    }
    let came_by_proxy = PROXY_HEADERS.iter().any(|name| headers.contains_key(name));
    loopback_passwords && peer.is_loopback() && !came_by_proxy
}

/// Whether the request came over TLS to this process.
pub(crate) fn is_secure(request: &HttpRequest) -> bool {
    Connection::of(request).is_some_and(|connection| connection.is_secure)
}

/// How the request's connection is called in addresses.
pub(crate) fn scheme(request: &HttpRequest) -> &'static str {
    if is_secure(request) { "https" } else { "http" }
}

/// What the connection alone proves.
pub(crate) fn of_connection(request: &HttpRequest) -> PresentedProofs {
    PresentedProofs::of_connection(client_certificate(request))
}

/// The certificate that the client showed when it connected.
pub(crate) fn client_certificate(request: &HttpRequest) -> Option<ClientCertificate> {
    request.conn_data::<ClientCertificate>().cloned()
}

/// The host that was asked for, as RFC 9421 2.2.3 compares it.
fn authority(request: &HttpRequest, scheme: &str) -> String {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(|own| own.as_str()).or(header).unwrap_or_default();
    let host = host.trim().to_ascii_lowercase();
    let own_port = if scheme == "https" { ":443" } else { ":80" };
    host.strip_suffix(own_port).unwrap_or(&host).to_owned()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_parts_are_those_that_arrived() {
        let request = TestRequest::put()
            .uri("//cenc/%45ncryption?a=%2b&b")
            .insert_header(("Host", "Keys.Example.net:80"))
            .insert_header(("X-One", "1"))
            .to_http_request();
        let seen = envelope(&request, Bytes::from_static(b"{}"));
        assert_eq!((seen.method.as_str(), seen.authority.as_str()), ("PUT", "keys.example.net"));
        assert_eq!(seen.target_uri(), "http://keys.example.net//cenc/%45ncryption?a=%2b&b");
        assert_eq!(seen.header("x-one").as_deref(), Some("1"));
    }

    #[test]
    fn plain_http_is_confidential_only_where_a_trusted_proxy_or_the_configuration_says_so() {
        let from = |peer: &str, headers: &[(&'static str, &str)]| {
            let request = TestRequest::get().peer_addr(peer.parse().unwrap());
            let with = |request: TestRequest, header: &(&'static str, &str)| request.append_header(*header);
            headers.iter().fold(request, with).to_http_request()
        };
        let near = ["127.0.0.1:5", "[::ffff:127.0.0.1]:5", "[::1]:5"];
        for peer in near {
            assert!(!is_vouched_for(&from(peer, &[]), &[], false), "{peer}: it may be a proxy");
            assert!(is_vouched_for(&from(peer, &[]), &[], true), "{peer}");
            for header in ["X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "Via"] {
                let proxied = from(peer, &[(header, "https")]);
                assert!(!is_vouched_for(&proxied, &[], true), "{peer} {header}");
            }
        }
        assert!(!is_vouched_for(&from("192.0.2.1:5", &[]), &[], true));
        assert!(!is_vouched_for(&TestRequest::get().to_http_request(), &[], true));
        let trusted: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
        let proto = |schemes: &[&str]| {
            let headers: Vec<_> = schemes.iter().map(|scheme| ("X-Forwarded-Proto", *scheme)).collect();
            ["10.1.2.3:5", "127.0.0.1:5"].map(|peer| is_vouched_for(&from(peer, &headers), &trusted, true))
        };
        assert_eq!(proto(&["https"]), [true; 2]);
        for unsaid in [&[][..], &["http"], &["https", "http"], &["https, http"], &["http,https"]] {
            assert_eq!(proto(unsaid), [false; 2], "{unsaid:?}");
        }
        let stranger = from("192.0.2.1:5", &[("X-Forwarded-Proto", "https")]);
        assert!(!is_vouched_for(&stranger, &trusted, true));
    }
}
