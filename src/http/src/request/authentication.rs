//! From a request to a grant, for every protocol: proofs are gathered and the authenticator is asked. An
//! account that this node may not have heard of yet is looked for once more.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::web::{Bytes, Payload};

use keymoot_auth::{AuthError, AuthHandle, Authenticator, Grant, PresentedProofs, Request, Unproved};
use keymoot_model::{AccountId, Scope};
use keymoot_protocol::{
    AwsSignatureError, CaSystem, Claim, Claims, CustomDataError, HttpSignatureError, Signature, SignedPayload,
};

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use crate::listener::connection::Connection;
use crate::request::answering;
use crate::request::caller::caller;
use crate::request::incoming_body::{IncomingBody, has_body, read_body};
use crate::request::proofs;

/// Authenticates a request with this signed payload, which needs a credential of `scope`. `signature` is the
/// protocol's own; `body` is what a proof in the headers may cover.
pub(crate) async fn authenticate<T: Claims>(
    request: &HttpRequest,
    body: Bytes,
    (scope, payload, signature): (Scope, &SignedPayload<T>, Option<Signature>),
    api: &Api,
    auth: &AuthHandle,
) -> Result<Grant, ApiError> {
    let method = method_of_rights(request.method());
    claimed(&payload.value().claim());
    if let Some(signed) = payload.value().claim().method
        && signed.as_str() != method
    {
        let (signed, request) = (signed.as_str(), method.to_owned());
        return Err(CustomDataError::OfAnotherMethod { signed, request }.into());
    }
    let proofs = proofs(request, body, api)?;
    let signed = Request::signed((scope, method), payload, signature, caller(request, api)?);
    let signed = signed.with_proofs(proofs);
    Ok(verify(request, signed, api, auth).await??)
}

/// The method that the caller must be allowed: HEAD asks for less than GET does, so what opens GET opens it.
fn method_of_rights(method: &Method) -> &str {
    match *method {
        Method::HEAD => Method::GET.as_str(),
        _ => method.as_str(),
    }
}

/// Asks once more when nothing was proved: the account may be younger than what this node has applied. Whoever
/// shows wrong credentials again and again waits before they are looked at, and an account that asks too often waits
/// for its turn. The outer error tells that the request was not judged, the inner one why the caller is refused.
pub(crate) async fn verify(
    http: &HttpRequest,
    request: Request,
    api: &Api,
    auth: &AuthHandle,
) -> Result<Result<Grant, AuthError>, ApiError> {
    let attempt = api.back_off.admit(&request).map_err(|refused| {
        api.metrics.auth_delays_total.inc();
        ApiError::too_many("too many wrong credentials came from here; try again later", refused, refused.0)
    })?;
    let account = request.account().clone();
    // What no trail leads to would leave unaudited.
    let trail =
        answering::trail().ok_or_else(|| ApiError::internal("a request is judged that has no trail"))?;
    let outcome = judge(request.on_trail(trail), api, auth).await?;
    if let Err(AuthError::Busy) = outcome {
        api.metrics.mailbox_full_total.with_label_values(&["authenticator"]).inc();
    }
    let held_back = attempt.note(&outcome);
    if let Some(pause) = held_back.filter(|pause| !pause.is_zero()) {
        api.metrics.auth_delays_total.inc();
        tokio::time::sleep(pause).await;
    }
    if outcome.is_ok() {
        if let Some(connection) = Connection::of(http) {
            connection.has_proved();
        }
        api.limits.request(&account).await?;
    }
    Ok(outcome)
}

/// Whose request it claims to be, for the audit of a refusal.
fn claimed(claim: &Claim) {
    if let Some(trail) = answering::trail() {
        trail.claims(&claim.account, claim.content.as_ref());
    }
}

async fn judge(request: Request, api: &Api, auth: &AuthHandle) -> Result<Result<Grant, AuthError>, ApiError> {
    let request = Arc::new(request);
    // Before the request is judged, so that nothing is granted that was taken away.
    api.contact.confirm(|| api.accounts.reads_locally(request.account())).await?;
    match auth.authenticate(request.clone()).await {
        Err(AuthError::Denied(denied)) if denied.is_unproved() => {
            api.accounts.refresh().await?;
            Ok(auth.authenticate(request).await)
        }
        answer => Ok(answer),
    }
}

/// Whether the rest of a large body is read: the account that its head names exists and may be used from
/// the caller's address, and the request presents a proof. Whether that is right shows when all is read.
/// Every refusal takes the same way, so that the time it takes tells nothing about accounts.
pub(crate) async fn may_send_more(
    claim: &Claim,
    signature: Option<&Signature>,
    request: &HttpRequest,
    api: &Api,
) -> Result<(), ApiError> {
    claimed(claim);
    may_send(&claim.account, Some(&claim.ca_system), signature.is_some(), request, api).await
}

async fn may_send(
    account: &AccountId,
    ca_system: Option<&CaSystem>,
    has_signature: bool,
    request: &HttpRequest,
    api: &Api,
) -> Result<(), ApiError> {
    let presents_proof =
        has_signature || proofs::has_proof(request) || proofs::client_certificate(request).is_some();
    let caller = caller(request, api)?;
    let authenticator = Authenticator::new(api.accounts.clone());
    let look =
        || authenticator.may_send_more((account, ca_system), Scope::Encryption, caller, presents_proof);
    if look().is_ok() {
        return Ok(());
    }
    api.accounts.refresh().await?;
    Ok(look()?)
}

/// Reads a document for keys of an account. More than other bodies are long is read only for a caller whose account may
/// have sent it.
pub(crate) async fn read_document(
    request: &HttpRequest,
    payload: Payload,
    account: &AccountId,
    api: &Api,
) -> Result<Bytes, ApiError> {
    if has_body(request.headers()) {
        must_be_listed(request, api).await?;
    }
    let bytes_max = keymoot_cpix::BYTES_MAX.max(api.body_bytes_max);
    let mut incoming = IncomingBody::new(request, payload, bytes_max, api);
    while incoming.received().len() <= api.body_bytes_max && incoming.read_on().await? {}
    if incoming.received().len() > api.body_bytes_max {
        may_send(account, None, false, request, api).await?;
        incoming.read_rest().await?;
    }
    Ok(incoming.into_bytes())
}

/// Authenticates a request for the keys of a document, which is answered alike whenever it is sent again.
pub(crate) async fn authenticate_document(
    request: &HttpRequest,
    body: Bytes,
    account: AccountId,
    api: &Api,
    auth: &AuthHandle,
) -> Result<Grant, ApiError> {
    let asked = Request::unsigned(account, caller(request, api)?, Unproved::ByOptIn);
    let asked = asked.repeatable().with_proofs(proofs(request, body, api)?);
    Ok(verify(request, asked, api, auth).await??)
}

/// Reads a body whole that may open the encryption scope. From an address that no account lists nothing could,
/// so such a body is not read.
pub(crate) async fn read_listed_body(
    request: &HttpRequest,
    payload: Payload,
    api: &Api,
) -> Result<Bytes, ApiError> {
    if has_body(request.headers()) {
        must_be_listed(request, api).await?;
    }
    read_body(request, payload, api).await
}

/// Refuses a caller whose address is on no account's allow-list, as it would be whatever it proves.
pub(crate) async fn must_be_listed(request: &HttpRequest, api: &Api) -> Result<(), ApiError> {
    let caller = caller(request, api)?;
    let is_listed = || api.accounts.is_listed(caller).map_err(AuthError::Unreadable);
    if is_listed()? {
        return Ok(());
    }
    // The account that lists it may be younger than what this node has applied.
    api.accounts.refresh().await?;
    if is_listed()? {
        return Ok(());
    }
    let reason = format!(
        "the address {caller} is on no account's allow-list, so the body is not read; add its network if it is a scrambler's"
    );
    Err(ApiError::unauthorized(reason).counted_as("address"))
}

/// What the connection and the headers prove.
fn proofs(request: &HttpRequest, body: Bytes, api: &Api) -> Result<PresentedProofs, HttpSignatureError> {
    if !proofs::has_proof(request) {
        return Ok(proofs::of_connection(request));
    }
    let certificate = proofs::client_certificate(request);
    let nonces = api.server_keys.get().map(|keys| keys.digest_nonces());
    let confidential = proofs::is_confidential(request, api);
    let envelope = proofs::envelope(request, body);
    let read = PresentedProofs::read(&envelope, certificate, api.signature_window, nonces, confidential)?;
    let of_message = read.has_message_signature().then_some(envelope.authority.as_str());
    let mut signed = of_message.into_iter().chain(read.aws_host());
    match signed.all(|host| api.authorities.accept(host)) {
        true => Ok(read),
        false => Err(HttpSignatureError::Authority),
    }
}

impl From<HttpSignatureError> for ApiError {
    /// What is wrong depends on the request and the clock alone, so the caller may read it.
    fn from(error: HttpSignatureError) -> Self {
        let reason = match error {
            HttpSignatureError::Untimely | HttpSignatureError::Aws(AwsSignatureError::Untimely) => "untimely",
            _ => "malformed",
        };
        Self::new(ErrorKind::Denied, error.to_string()).counted_as(reason)
    }
}
