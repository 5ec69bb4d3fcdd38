//! From a request to a grant, for every protocol: proofs are gathered, the authenticator is asked,
//! and an account that this node may not have heard of yet is looked for once more.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Bytes;

use crate::auth::{
    AuthError, AuthHandle, Claims, Grant, HttpSignatureError, KeyToken, Proofs, Said, Signature,
    SignedRequest, UnsignedRequest,
};
use crate::cluster::ClusterError;
use crate::model::Scope;

use super::error::{ApiError, ErrorKind};
use super::received;
use super::server::Api;
use super::udrm::caller;

/// Lets a request in that says `said` and wants `scope` opened, or says why not. `signature` is the
/// protocol's own; `body` is what a proof in the headers may cover.
pub async fn admit<T: Claims>(
    request: &HttpRequest,
    body: Bytes,
    (scope, said, signature): (Scope, &Said<T>, Option<Signature>),
    api: &Api,
    auth: &AuthHandle,
) -> Result<Grant, ApiError> {
    let proofs = proofs(request, body, api)?;
    let signed = SignedRequest::new(scope, said, signature, caller(request, api)?).with_proofs(proofs);
    let signed = Arc::new(signed);
    Ok(ask_again(api, async || auth.authenticate(signed.clone()).await).await??)
}

/// What the connection and the headers prove.
fn proofs(request: &HttpRequest, body: Bytes, api: &Api) -> Result<Proofs, HttpSignatureError> {
    let certificate = received::client_certificate(request);
    if !received::has_proof(request) {
        return Ok(Proofs::of_connection(certificate));
    }
    let nonces = api.server_keys.get().map(|keys| keys.digest_nonces());
    let confidential = received::is_confidential(request);
    let envelope = received::envelope(request, body);
    Proofs::read(&envelope, certificate, api.signature_window, nonces, confidential)
}

/// The same for a request of a client that cannot sign.
pub async fn admit_unsigned(
    request: UnsignedRequest,
    api: &Api,
    auth: &AuthHandle,
) -> Result<Grant, ApiError> {
    Ok(ask_again(api, async || auth.authenticate_unsigned(request.clone()).await).await??)
}

/// The same for whoever shows a token that was read.
pub async fn admit_token(
    token: KeyToken,
    caller: IpAddr,
    api: &Api,
    auth: &AuthHandle,
) -> Result<Grant, ApiError> {
    Ok(ask_again(api, async || auth.authenticate_token(token.clone(), caller).await).await??)
}

/// Asks once more when nothing was proved: the account may be younger than what this node has applied.
/// The outer error tells that the cluster did not answer, the inner one who is not let in.
pub async fn ask_again(
    api: &Api,
    ask: impl AsyncFn() -> Result<Grant, AuthError>,
) -> Result<Result<Grant, AuthError>, ClusterError> {
    match ask().await {
        Err(AuthError::Denied(denied)) if denied.is_unproved() => {
            api.accounts.refresh().await?;
            Ok(ask().await)
        }
        answer => Ok(answer),
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
