//! The admin API: a listener of its own, where each operator is known by a client certificate or a session and may do
//! what the roles allow. Nothing of the account API is served here, and nothing of this there.
//!
//! Every request is answered in this order: who asks, whether they may, what they ask for. Each has its event in the
//! audit, refused or not.

mod audited;
mod document;
mod listener;
mod problem;
mod sign_in;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::{Method as HttpMethod, header};
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use keymoot_auth::ClientCertificate;
use keymoot_model::Fingerprint;
use keymoot_service::admin::{
    Administration, Call, Method, OperatorGrant, OperatorProof, UseCase, session_digest,
};

use crate::answer::error::ApiError;
use crate::api::Api;
use crate::front::observe::METRICS_TYPE;
use crate::request::incoming_body::read_proved_body;
use crate::request::method_label::method_label;

pub use listener::{AdminListener, listen_for_operators};
use problem::Problem;

/// The name of listener and route in metrics.
const ADMIN: &str = "admin";
/// Where the document is. Every operator may read it.
const DOCUMENT: &str = "/openapi.json";
/// Where the metrics are. Every operator may read them, too.
const METRICS: &str = "/metrics";

/// What the listener serves.
pub(crate) struct AdminSite {
    api: Api,
    administration: Administration,
}

pub(crate) async fn dispatch(request: HttpRequest, payload: Payload, site: Data<AdminSite>) -> HttpResponse {
    let began = std::time::Instant::now();
    let _answering = site.api.drain.enter(&request);
    let mut response = match answer(&request, payload, &site).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    let metrics = &site.api.metrics;
    let status = response.status();
    let labels = [ADMIN, method_label(request.method()), status.as_str()];
    metrics.http_requests_total.with_label_values(&labels).inc();
    metrics.http_request_seconds.with_label_values(&[ADMIN]).observe(began.elapsed().as_secs_f64());
    site.api.drain.mark(&mut response);
    response
}

async fn answer(request: &HttpRequest, payload: Payload, site: &AdminSite) -> Result<HttpResponse, Problem> {
    if sign_in::is_asked_for(request) {
        return sign_in::answer(request, payload, site).await;
    }
    let proof = shown(request).map_err(|problem| audited::unproved(request, problem, site))?;
    let method = match *request.method() {
        HttpMethod::GET => Some(Method::Get),
        HttpMethod::POST => Some(Method::Post),
        _ => None,
    };
    let found = method.and_then(|method| UseCase::find(method, request.path()));
    // Whoever is no operator does not learn what there is.
    let case = found.unwrap_or(UseCase::OwnOperator);
    let grant = authorized(request, proof, case, site).await?;
    if found.is_some() {
        let outcome = carry_out(request, payload, &grant, case, site).await;
        return outcome.map(|body| json(&body));
    }
    if method == Some(Method::Get) && request.path() == DOCUMENT {
        return Ok(HttpResponse::Ok().content_type("application/json").body(document::text()));
    }
    if method == Some(Method::Get) && request.path() == METRICS {
        let text = site.api.metrics.encode().map_err(ApiError::internal)?;
        return Ok(HttpResponse::Ok().content_type(METRICS_TYPE).body(text));
    }
    let problem = Problem::unknown(request.method().as_str(), request.path());
    Err(audited::unknown(request, &grant, problem, site))
}

/// The session's token that the client sent, or the certificate that it showed.
fn shown(request: &HttpRequest) -> Result<OperatorProof, Problem> {
    if let Some(sent) = request.headers().get(header::AUTHORIZATION) {
        let token = sent.to_str().ok().and_then(|sent| sent.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let digest = token.and_then(|(_, token)| session_digest(token.trim()));
        return digest.map(OperatorProof::Session).ok_or_else(Problem::no_token);
    }
    let shown = request.conn_data::<ClientCertificate>();
    let digits = shown.and_then(|certificate| certificate.fingerprint().strip_prefix("sha256:"));
    let fingerprint: Option<Fingerprint> = digits.and_then(|digits| digits.parse().ok());
    fingerprint.map(OperatorProof::Certificate).ok_or_else(Problem::no_credential)
}

async fn authorized(
    request: &HttpRequest,
    proof: OperatorProof,
    case: UseCase,
    site: &AdminSite,
) -> Result<OperatorGrant, Problem> {
    let at = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    site.administration.authorize(proof, at, case).await.map_err(|refused| {
        site.api.metrics.auth_refusals_total.with_label_values(&["operator"]).inc();
        audited::refused(request, (proof, case), refused, site)
    })
}

/// Reads what is asked for, and has it done.
async fn carry_out(
    request: &HttpRequest,
    payload: Payload,
    grant: &OperatorGrant,
    case: UseCase,
    site: &AdminSite,
) -> Result<Value, Problem> {
    let call = async {
        let parameters = parameters(request, payload, case, &site.api).await?;
        Call::parse(case, parameters).map_err(|error| Problem::invalid(error.to_string()))
    };
    let call = call.await.inspect_err(|problem| audited::unreadable(request, grant, problem, site))?;
    Ok(audited::carry_out(request, grant, call, site).await?.body)
}

async fn parameters(
    request: &HttpRequest,
    payload: Payload,
    case: UseCase,
    api: &Api,
) -> Result<Value, Problem> {
    if case.method() == Method::Get {
        let query = Query::<BTreeMap<String, String>>::from_query(request.query_string())
            .map_err(|error| Problem::invalid(format!("the query cannot be read: {error}")))?;
        return Ok(query.into_inner().into_iter().map(|(name, value)| (name, Value::from(value))).collect());
    }
    check_json(request)?;
    parse_json(&read_proved_body(request, payload, api).await?)
}

/// A page that an operator's browser shows may send forms here, but JSON only if it was asked whether it may.
fn check_json(request: &HttpRequest) -> Result<(), Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    match is_json {
        true => Ok(()),
        false => {
            Err(Problem::invalid("send JSON, with the header Content-Type: application/json".to_owned()))
        }
    }
}

fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem::invalid(format!("the body cannot be read: {error}")))
}

fn json(body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
