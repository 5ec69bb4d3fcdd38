//! From a request to a grant, for every protocol: proofs are gathered, the authenticator is asked,
//! and an account that this node may not have heard of yet is looked for once more.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::web::Bytes;

use crate::auth::{
    AuthError, AuthHandle, Grant, HttpSignatureError, KeyToken, Proofs, SignedRequest, UnsignedRequest,
};

use super::error::{ApiError, ErrorKind};
use super::received;
use super::server::Api;

/// Lets the request in, or says why not. `parse` makes the protocol's view of it, and may be called
/// twice: signatures are not copied.
pub async fn admit(
    request: &HttpRequest,
    body: Bytes,
    api: &Api,
    auth: &AuthHandle,
    parse: impl Fn() -> Result<SignedRequest, ApiError>,
) -> Result<Grant, ApiError> {
    let envelope = received::envelope(request, body);
    let attempt = || {
        let certificate = received::client_certificate(request);
        let nonces = api.server_keys.get().map(|keys| keys.digest_nonces());
        let confidential = received::is_confidential(request);
        let proofs = Proofs::read(&envelope, certificate, api.signature_window, nonces, confidential)?;
        Ok::<_, ApiError>(parse()?.with_proofs(proofs))
    };
    match auth.authenticate(attempt()?).await {
        Err(AuthError::Denied(denied)) if denied.is_unproved() => {
            // The account may be younger than what this node has applied.
            api.accounts.refresh().await?;
            Ok(auth.authenticate(attempt()?).await?)
        }
        answer => Ok(answer?),
    }
}

/// The same for a request of a client that cannot sign.
pub async fn admit_unsigned(
    request: UnsignedRequest,
    api: &Api,
    auth: &AuthHandle,
) -> Result<Grant, ApiError> {
    match auth.authenticate_unsigned(request.clone()).await {
        Err(AuthError::Denied(denied)) if denied.is_unproved() => {
            api.accounts.refresh().await?;
            Ok(auth.authenticate_unsigned(request).await?)
        }
        answer => Ok(answer?),
    }
}

/// The same for whoever shows a token that was read.
pub async fn admit_token(
    token: KeyToken,
    caller: IpAddr,
    api: &Api,
    auth: &AuthHandle,
) -> Result<Grant, ApiError> {
    match auth.authenticate_token(token.clone(), caller).await {
        Err(AuthError::Denied(denied)) if denied.is_unproved() => {
            api.accounts.refresh().await?;
            Ok(auth.authenticate_token(token, caller).await?)
        }
        answer => Ok(answer?),
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
