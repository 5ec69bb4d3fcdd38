//! From a request to a grant, for every protocol: proofs are gathered, the authenticator is asked,
//! and an account that this node may not have heard of yet is looked for once more.

use actix_web::HttpRequest;
use actix_web::web::Bytes;

use crate::auth::{
    AuthError, AuthHandle, ClientCertificate, Grant, HttpSignatureError, Proofs, SignedRequest,
};

use super::error::{ApiError, ErrorKind};
use super::received;
use super::server::Api;

/// Lets the request in and hands back what it says of itself, or says why not. `parse` makes the
/// protocol's view of it, and is called again when the account is looked for once more: signatures
/// are not copied.
pub async fn admit<D>(
    request: &HttpRequest,
    body: Bytes,
    api: &Api,
    auth: &AuthHandle,
    parse: impl Fn() -> Result<(SignedRequest, D), ApiError>,
) -> Result<(Grant, D), ApiError> {
    let envelope = received::envelope(request, body);
    let attempt = || {
        let (request_of_protocol, data) = parse()?;
        let certificate = request.conn_data::<ClientCertificate>().cloned();
        let nonces = api.server_keys.get().map(|keys| keys.digest_nonces());
        let confidential = received::is_confidential(request);
        let proofs = Proofs::read(&envelope, certificate, api.signature_window, nonces, confidential)?;
        Ok::<_, ApiError>((data, request_of_protocol.with_proofs(proofs)))
    };
    let (data, signed) = attempt()?;
    match auth.authenticate(signed).await {
        Err(AuthError::Denied(denied)) if denied.is_unproved() => {
            // The account may be younger than what this node has applied.
            api.accounts.refresh().await?;
            let (data, signed) = attempt()?;
            Ok((auth.authenticate(signed).await?, data))
        }
        answer => Ok((answer?, data)),
    }
}

impl From<HttpSignatureError> for ApiError {
    /// What is wrong depends on the request and the clock alone, so the caller may read it.
    fn from(error: HttpSignatureError) -> Self {
        let reason = match error {
            HttpSignatureError::Untimely => "untimely",
            _ => "malformed",
        };
        Self::new(ErrorKind::Denied, error.to_string()).counted_as(reason)
    }
}
