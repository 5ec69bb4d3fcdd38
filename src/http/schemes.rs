//! Which authentication schemes a request may use.

use actix_web::HttpRequest;

use crate::model::Scheme;

/// The schemes that are accepted on the request's connection, the strongest first. The list
/// depends on the connection alone, so it tells nothing about any account.
pub fn offered(_: &HttpRequest) -> Vec<Scheme> {
    vec![Scheme::UdrmSha1]
}
