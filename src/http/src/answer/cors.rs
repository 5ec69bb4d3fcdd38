//! Cross-origin requests (Fetch standard): players in browsers live on the sites that embed them.
//!
//! Without configured origins every site may ask, without credentials: what opens a license is the
//! signature in the URL, which no browser adds by itself. Some receivers send credentials all the
//! same, and then a browser wants its own origin named; those origins have to be configured.

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use actix_web::{HttpRequest, HttpResponse};

use crate::answer::error::ApiError;
use crate::listener::settings::WebOrigin;

/// How long a browser may remember the answer to a preflight: a day, the longest any of them does.
const MAX_AGE_S: &str = "86400";

/// The longest list of header names that is allowed back.
const HEADERS_BYTES_MAX: usize = 1024;

/// The answer to a browser that asks whether a page may send a request by one of `methods`.
pub(crate) fn preflight(request: &HttpRequest, methods: &'static str, origins: &[WebOrigin]) -> HttpResponse {
    // Not 204: some receivers take nothing but 200 for a yes.
    let mut response = HttpResponse::Ok();
    response.insert_header((ACCESS_CONTROL_ALLOW_METHODS, methods));
    response.insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE_S));
    if let Some(wanted) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS)
        && are_names(wanted)
    {
        response.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone()));
    }
    for header in headers(request, origins) {
        response.append_header(header);
    }
    response.finish()
}

/// The answer with what lets a page read it, refusals too: a player shows why it cannot play.
pub(crate) fn allow(
    answer: Result<HttpResponse, ApiError>,
    request: &HttpRequest,
    origins: &[WebOrigin],
) -> Result<HttpResponse, ApiError> {
    let headers = headers(request, origins);
    match answer {
        Ok(mut response) => {
            for (name, value) in headers {
                response.headers_mut().append(name, value);
            }
            Ok(response)
        }
        Err(error) => Err(error.with_headers(headers)),
    }
}

fn headers(request: &HttpRequest, origins: &[WebOrigin]) -> Vec<(HeaderName, HeaderValue)> {
    if origins.is_empty() {
        return vec![(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"))];
    }
    let mut headers = vec![(VARY, HeaderValue::from_static("Origin"))];
    let own = request.headers().get(ORIGIN);
    if let Some(own) =
        own.filter(|own| origins.iter().any(|origin| origin.as_str().as_bytes() == own.as_bytes()))
    {
        headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, own.clone()));
        headers.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true")));
    }
    headers
}

/// Whether the value is a list of header names and nothing else.
fn are_names(value: &HeaderValue) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_, ".contains(byte);
    value.len() <= HEADERS_BYTES_MAX && value.as_bytes().iter().all(is_name)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn asked(origin: &str, configured: &[&str]) -> HttpResponse {
        let configured: Vec<WebOrigin> =
            configured.iter().map(|origin| WebOrigin::try_from((*origin).to_owned()).unwrap()).collect();
        let request = TestRequest::default()
            .insert_header((ORIGIN, origin))
            .insert_header((ACCESS_CONTROL_REQUEST_HEADERS, "content-type, x-own"))
            .to_http_request();
        preflight(&request, "POST, OPTIONS", &configured)
    }

    fn header(response: &HttpResponse, name: HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn every_site_may_ask_without_credentials_when_none_is_configured() {
        let response = asked("https://site.example", &[]);
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, ACCESS_CONTROL_ALLOW_ORIGIN), Some("*"));
        assert_eq!(header(&response, ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
        assert_eq!(header(&response, ACCESS_CONTROL_ALLOW_HEADERS), Some("content-type, x-own"));
        assert_eq!(header(&response, ACCESS_CONTROL_ALLOW_METHODS), Some("POST, OPTIONS"));
    }

    #[test]
    fn a_configured_site_is_named_and_another_is_not() {
        let own = asked("https://site.example", &["https://other.example", "https://site.example"]);
        assert_eq!(header(&own, ACCESS_CONTROL_ALLOW_ORIGIN), Some("https://site.example"));
        assert_eq!(header(&own, ACCESS_CONTROL_ALLOW_CREDENTIALS), Some("true"));
        let foreign = asked("https://site.example.evil", &["https://site.example"]);
        assert_eq!(header(&foreign, ACCESS_CONTROL_ALLOW_ORIGIN), None);
        for response in [own, foreign] {
            assert_eq!(header(&response, VARY), Some("Origin"));
        }
    }

    #[test]
    fn header_names_come_back_only_when_they_are_names() {
        assert!(are_names(&HeaderValue::from_static("content-type,X-A")));
        assert!(!are_names(&HeaderValue::from_static("a:b")));
        assert!(!are_names(&HeaderValue::try_from("a".repeat(HEADERS_BYTES_MAX + 1)).unwrap()));
    }
}
