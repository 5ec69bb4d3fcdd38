//! The admin API: a listener of its own, where each operator is known by a client certificate and may do what
//! the roles allow. Nothing of the account API is served here, and nothing of this there.
//!
//! Every request is answered in this order: who asks, whether they may, what they ask for. Each leaves an audit
//! line, refused or not.

mod document;
mod listener;
mod problem;

use std::collections::BTreeMap;

use actix_web::http::{Method as HttpMethod, header};
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use keymoot_auth::ClientCertificate;
use keymoot_model::Fingerprint;
use keymoot_service::admin::{Administration, Call, Method, OperatorGrant, RefusedOperator, UseCase};

use crate::api::Api;
use crate::request::incoming_body::read_body;

pub use listener::{AdminListener, listen_for_operators};
use problem::Problem;

/// The name of listener and route in metrics.
const ADMIN: &str = "admin";
/// Where the document is. Every operator may read it.
const DOCUMENT: &str = "/openapi.json";

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
    let labels = [ADMIN, request.method().as_str(), status.as_str()];
    metrics.http_requests_total.with_label_values(&labels).inc();
    metrics.http_request_seconds.with_label_values(&[ADMIN]).observe(began.elapsed().as_secs_f64());
    site.api.drain.mark(&mut response);
    response
}

async fn answer(request: &HttpRequest, payload: Payload, site: &AdminSite) -> Result<HttpResponse, Problem> {
    let fingerprint = shown(request)?;
    let method = match *request.method() {
        HttpMethod::GET => Some(Method::Get),
        HttpMethod::POST => Some(Method::Post),
        _ => None,
    };
    let found = method.and_then(|method| UseCase::find(method, request.path()));
    // Whoever is no operator does not learn what there is.
    let case = found.unwrap_or(UseCase::OwnOperator);
    let grant = authorized(request, fingerprint, case, site).await?;
    if found.is_some() {
        let outcome = carry_out(request, payload, &grant, case, site).await;
        return outcome.map(|body| json(&body));
    }
    if method == Some(Method::Get) && request.path() == DOCUMENT {
        return Ok(HttpResponse::Ok().content_type("application/json").body(document::text()));
    }
    Err(Problem::unknown(request.method().as_str(), request.path()))
}

/// The certificate that the client showed.
fn shown(request: &HttpRequest) -> Result<Fingerprint, Problem> {
    let shown = request.conn_data::<ClientCertificate>();
    let digits = shown.and_then(|certificate| certificate.fingerprint().strip_prefix("sha256:"));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(Problem::no_certificate)
}

async fn authorized(
    request: &HttpRequest,
    fingerprint: Fingerprint,
    case: UseCase,
    site: &AdminSite,
) -> Result<OperatorGrant, Problem> {
    site.administration.authorize(fingerprint, case).await.map_err(|refused| {
        let name = match &refused {
            RefusedOperator::Revoked { name }
            | RefusedOperator::CertificateRevoked { name }
            | RefusedOperator::Expired { name }
            | RefusedOperator::Role { name, .. } => name.to_string(),
            _ => "unknown".to_owned(),
        };
        tracing::warn!(
            target: "audit", operator = name, %fingerprint, from = %from(request), action = case.name(),
            outcome = "refused", reason = %refused, "an operator's request"
        );
        site.api.metrics.auth_refusals_total.with_label_values(&["operator"]).inc();
        refused.into()
    })
}

/// Reads what is asked for, has it done, and says so in the audit.
async fn carry_out(
    request: &HttpRequest,
    payload: Payload,
    grant: &OperatorGrant,
    case: UseCase,
    site: &AdminSite,
) -> Result<Value, Problem> {
    let audit = |object: &str, outcome: &str| {
        let role = grant.role().map_or("none", |role| role.name());
        tracing::info!(
            target: "audit", operator = %grant.name(), role, from = %from(request), action = case.name(),
            object, outcome, "an operator's request"
        );
    };
    let call = async {
        let parameters = parameters(request, payload, case, &site.api).await?;
        Call::parse(case, parameters).map_err(|error| Problem::invalid(error.to_string()))
    };
    let call = call.await.inspect_err(|problem| audit("unreadable", problem.detail()))?;
    let object = call.object();
    match site.administration.perform(grant, call).await {
        Ok(body) => {
            audit(&object, "done");
            Ok(body)
        }
        Err(error) => {
            let problem = Problem::from(error);
            audit(&object, problem.detail());
            Err(problem)
        }
    }
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
    // A page that an operator's browser shows may send forms here, but JSON only if it was asked whether it may.
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(Problem::invalid("send JSON, with the header Content-Type: application/json".to_owned()));
    }
    let body = read_body(request, payload, api).await?;
    serde_json::from_slice(&body).map_err(|error| Problem::invalid(format!("the body is not JSON: {error}")))
}

fn from(request: &HttpRequest) -> String {
    request.peer_addr().map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

fn json(body: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(body)
}
