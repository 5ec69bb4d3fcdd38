//! Which handler a path names. Paths match without regard to case, doubled and trailing slashes,
//! which is why they are matched here and not by the framework.

pub mod endpoint;

use std::time::Instant;

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use keymoot_auth::AuthHandle;
use keymoot_drm::EncryptionProvider;
use keymoot_telemetry::WritesGrants;

use crate::answer::challenges::challenges;
use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::signed_answer::signed;
use crate::answer::sliced_body::sliced;
use crate::api::Api;
use crate::dispatch::endpoint::{Endpoint, LICENSE};
use crate::front::policy::PolicyRoute;
use crate::front::{
    bulk, capabilities, export, hls, license, observe, playready, policy, schedule, udrm, widevine,
};
use crate::openapi;
use crate::request::clock::now_s;
use crate::request::path::RequestPath;
use crate::request::schemes;

/// Every request comes through here: it is routed, measured and, when refused, answered in the
/// specification's error format.
pub async fn dispatch(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
    auth: Data<AuthHandle>,
) -> HttpResponse {
    let began = Instant::now();
    let _answering = api.drain.enter(&request);
    let _writes_grants = WritesGrants;
    let (route, answer) = route(&request, payload, &api, &auth).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.kind().status(),
    };
    let labels = [route, request.method().as_str(), status.as_str()];
    api.metrics.http_requests_total.with_label_values(&labels).inc();
    api.metrics.http_request_seconds.with_label_values(&[route]).observe(began.elapsed().as_secs_f64());
    let answer = answer.map_err(|error| challenged(error, route, &request, &api));
    let mut response = signed(answer, &request, &api).unwrap_or_else(HttpResponse::from_error);
    api.drain.mark(&mut response);
    sliced(response)
}

/// Counts a refusal to somebody unauthorized, and tells how they may prove themselves. A player is
/// told nothing: its browser would ask the viewer for a password.
fn challenged(error: ApiError, route: &str, request: &HttpRequest, api: &Api) -> ApiError {
    match error.refusal() {
        Some(reason) => {
            api.metrics.auth_refusals_total.with_label_values(&[reason]).inc();
            if route == LICENSE {
                return error;
            }
            let nonce = api.server_keys.get().map(|keys| keys.digest_nonces().issue(now_s()));
            let schemes = schemes::offered(request, api);
            error.with_headers(challenges(&schemes, nonce.as_deref(), reason == "stale"))
        }
        None => error,
    }
}

async fn route(
    request: &HttpRequest,
    payload: Payload,
    api: &Api,
    auth: &AuthHandle,
) -> (&'static str, Result<HttpResponse, ApiError>) {
    let path = match RequestPath::parse(request.path()) {
        Ok(path) => path,
        Err(error) => return ("other", Err(error.into())),
    };
    let Some((endpoint, is_named)) = Endpoint::of(&path) else {
        return ("other", Err(unknown(request.path())));
    };
    let name = endpoint.name();
    if let Err(refusal) = must_allow(endpoint, request.method()) {
        return (name, Err(refusal));
    }
    // What stands in a path's last segment keeps the case it came in.
    let named = path.last().filter(|_| is_named);
    let answer = match endpoint {
        Endpoint::Encryption(provider) => udrm::encryption(provider, request, payload, api, auth).await,
        Endpoint::Schedule(provider) => schedule::schedule(provider, request, payload, api, auth).await,
        Endpoint::ContentKey => widevine::content_key(named, request, payload, api, auth).await,
        Endpoint::PackagingData => {
            let answer = playready::packaging_data(named.unwrap_or_default(), request, payload, api, auth);
            answer.await.map_err(ApiError::as_soap_fault)
        }
        Endpoint::HlsKeyInfo => hls::key_info(request, api, auth).await,
        Endpoint::HlsKey => hls::key(named.unwrap_or_default(), request, api, auth).await,
        Endpoint::License(provider) => license::license(provider, request, payload, api, auth).await,
        Endpoint::Policies | Endpoint::Policy | Endpoint::PolicyContent | Endpoint::PolicyDefault => {
            // The policy stands behind the first segment, in the case it came in.
            let name = path.segment(1).unwrap_or_default();
            let route = match endpoint {
                Endpoint::Policy => PolicyRoute::One(name),
                Endpoint::PolicyContent => PolicyRoute::Content(name),
                Endpoint::PolicyDefault => PolicyRoute::Default(name),
                _ => PolicyRoute::All,
            };
            policy::policy(route, request, payload, api, auth).await
        }
        Endpoint::Bulk => bulk::bulk(request, payload, api, auth).await,
        Endpoint::Export => export::export(request, payload, api, auth).await,
        Endpoint::Capabilities => capabilities::answer(request, api),
        Endpoint::Document => openapi::answer(),
        Endpoint::Viewer => openapi::viewer(request.path(), named),
        Endpoint::Healthy => Ok(observe::healthy()),
        Endpoint::Ready => observe::ready(api).await,
        Endpoint::Metrics => observe::metrics(api),
    };
    (name, answer)
}

fn must_allow(endpoint: Endpoint, method: &Method) -> Result<(), ApiError> {
    let methods = endpoint.methods();
    // Pages of other sites ask for licenses, and ask first whether they may.
    let is_preflight = matches!(endpoint, Endpoint::License(_)) && method == Method::OPTIONS;
    if methods.contains(method) || (endpoint.has_head() && method == Method::HEAD) || is_preflight {
        return Ok(());
    }
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let names = match names.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        one => one.concat(),
    };
    let elsewhere = match endpoint {
        Endpoint::Schedule(provider) if method == Method::DELETE => {
            format!(". DELETE at /{provider}/encryption deletes a key")
        }
        _ => String::new(),
    };
    let message = format!("method {method} is not supported here; use {names}{elsewhere}");
    Err(ApiError::new(ErrorKind::MethodNotAllowed, message))
}

fn unknown(path: &str) -> ApiError {
    let providers = EncryptionProvider::ALL.map(|provider| format!("/{provider}/encryption")).join(", ");
    let message = format!(
        "there is nothing at {path}; the encryption endpoints are {providers} and /cenc/getcontentkey, and \
         /openapi.json describes them all"
    );
    ApiError::new(ErrorKind::NotFound, message)
}
