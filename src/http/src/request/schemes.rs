//! Which authentication schemes a request may use.

use actix_web::HttpRequest;

use keymoot_model::Scheme;

use crate::api::Api;
use crate::request::proofs;

/// The schemes that are accepted on the request's connection, the strongest first. The list
/// depends on the connection and the node alone, so it tells nothing about any account.
pub(crate) fn accepted(request: &HttpRequest, api: &Api) -> Vec<Scheme> {
    let is_accepted = |scheme: &Scheme| match scheme {
        Scheme::MutualTls => api.client_certificates && proofs::is_secure(request),
        Scheme::Digest => proofs::is_confidential(request, api) && api.server_keys.get().is_some(),
        Scheme::Basic => proofs::is_confidential(request, api),
        Scheme::HttpEd25519 | Scheme::HttpHmacSha256 | Scheme::AwsSigV4 | Scheme::UdrmSha1 => true,
        // They live inside the bodies of an API of their own.
        Scheme::WidevineAes | Scheme::WidevineRsa => false,
    };
    Scheme::ALL.into_iter().filter(is_accepted).collect()
}
