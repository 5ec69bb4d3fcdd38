//! Which host a request is for (RFC 9112 3.2). What a client writes there goes into answers and into what is
//! signed, so that a request that is not clear about it is refused.

use actix_web::HttpRequest;
use actix_web::http::uri::Authority;
use actix_web::http::{Version, header};

use crate::answer::error::{ApiError, ErrorKind};

/// The longest host with its port.
const HOST_BYTES_MAX: usize = 255 + 6;

/// Refuses a request without a host, with several, or with one that no host is called.
pub(crate) fn must_be_sound(request: &HttpRequest) -> Result<(), ApiError> {
    let invalid = |message: &str| Err(ApiError::new(ErrorKind::Invalid, message));
    let mut hosts = request.headers().get_all(header::HOST);
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => {
            invalid("the header Host is missing; a request of HTTP/1.1 has one")
        }
        (Some(_), Some(_)) => invalid("there are several headers Host; send one"),
        (Some(host), None) if !host.to_str().is_ok_and(|host| host.is_empty() || is_host(host)) => {
            invalid("the header Host is no host with or without a port")
        }
        _ if request.uri().authority().is_some_and(|own| !is_host(own.as_str())) => {
            invalid("the request's target names no host that there is")
        }
        _ => Ok(()),
    }
}

/// The host that the request is for, with its port if it names one. That of its target goes before the header.
pub(crate) fn host(request: &HttpRequest) -> Option<&str> {
    let header = || request.headers().get(header::HOST)?.to_str().ok();
    let named = request.uri().authority().map(Authority::as_str).or_else(header);
    named.map(str::trim).filter(|host| !host.is_empty())
}

fn is_host(text: &str) -> bool {
    let text = text.trim();
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
    text.len() <= HOST_BYTES_MAX && text.bytes().all(is_of_host) && text.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn of(uri: &str, hosts: &[&str], version: Version) -> Result<Option<String>, String> {
        let request = TestRequest::with_uri(uri).version(version);
        let request = hosts.iter().fold(request, |request, host| request.append_header(("Host", *host)));
        let request = request.to_http_request();
        must_be_sound(&request).map_err(|error| error.message().to_owned())?;
        Ok(host(&request).map(str::to_owned))
    }

    #[test]
    fn hosts_of_all_kinds_are_read_and_the_targets_goes_first() {
        for name in ["keys.example.net", "KEYS_1:8081", "192.0.2.1:80", "[2001:db8::1]:443", "a"] {
            assert_eq!(of("/", &[name], Version::HTTP_11), Ok(Some(name.to_owned())));
        }
        let absolute = of("http://one.example.net:81/healthz", &["other"], Version::HTTP_11);
        assert_eq!(absolute, Ok(Some("one.example.net:81".to_owned())));
        assert_eq!(of("/", &[], Version::HTTP_10), Ok(None));
        assert_eq!(of("/", &[""], Version::HTTP_11), Ok(None));
    }

    #[test]
    fn no_host_several_and_what_is_none_are_refused() {
        assert!(of("/", &[], Version::HTTP_11).unwrap_err().contains("is missing"));
        assert!(of("/", &["a", "a"], Version::HTTP_11).unwrap_err().contains("several"));
        for name in ["a b", "a/b", "a@b", "<script>", "a\"b", "a'b", "[::1", "a:b:c", "a?b", &"a".repeat(300)]
        {
            assert!(of("/", &[name], Version::HTTP_11).unwrap_err().contains("no host"), "{name}");
        }
        assert!(of("http://user@a/", &["a"], Version::HTTP_11).unwrap_err().contains("target"));
    }
}
