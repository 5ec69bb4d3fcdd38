//! Answers that prove who gave them (requirement 5.6.1), for requests with `Accept-Signature`.

use actix_web::body::MessageBody as _;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};

use crate::answer::error::ApiError;
use crate::api::Api;
use crate::request::proofs;

/// How a request asks for a signed answer (RFC 9421 5.1).
pub static ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");

/// The answer, signed if the request asks for it and the cluster has its keys. A refusal is signed
/// like any other answer.
pub fn signed(
    answer: Result<HttpResponse, ApiError>,
    request: &HttpRequest,
    api: &Api,
) -> Result<HttpResponse, ApiError> {
    let Some(keys) = api.server_keys.get().filter(|_| request.headers().contains_key(&ACCEPT_SIGNATURE))
    else {
        return answer;
    };
    let response = answer.unwrap_or_else(|error| error.error_response());
    let (head, body) = response.into_parts();
    let body = match body.try_into_bytes() {
        Ok(body) => body,
        // A body that is made while it is sent has no digest yet; it leaves as it is.
        Err(body) => return Ok(head.set_body(body)),
    };
    let envelope = proofs::envelope(request, Bytes::new());
    let headers = keys.sign_answer(&envelope, head.status().as_u16(), &body);
    let mut response = head.set_body(body).map_into_boxed_body();
    if let Some(headers) = headers {
        let named = [
            ("content-digest", headers.content_digest),
            ("signature-input", headers.signature_input),
            ("signature", headers.signature),
        ];
        for (name, value) in named {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
    }
    Ok(response)
}
