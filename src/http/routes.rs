//! Which handler a path names. Paths match without regard to case, doubled and trailing slashes,
//! which is why they are matched here and not by the framework.

use std::time::Instant;

use actix_web::http::Method;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use prometheus::IntGauge;

use crate::auth::AuthHandle;
use crate::drm::EncryptionProvider;
use crate::license::LicenseProvider;

use super::challenges::challenges;
use super::error::{ApiError, ErrorKind};
use super::path::RequestPath;
use super::policy::PolicyRoute;
use super::server::Api;
use super::signed_answer::signed;
use super::{capabilities, license, observe, policy, received, schedule, schemes, udrm, widevine};

/// The license endpoint's name among the routes.
const LICENSE: &str = "license";

/// Every request comes through here: it is routed, measured and, when refused, answered in the
/// specification's error format.
pub async fn dispatch(
    request: HttpRequest,
    payload: Payload,
    api: Data<Api>,
    auth: Data<AuthHandle>,
) -> Result<HttpResponse, ApiError> {
    let began = Instant::now();
    let _answering = InFlight::enter(&api.metrics.http_requests_in_flight);
    let (route, answer) = route(&request, payload, &api, &auth).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.kind().status(),
    };
    let labels = [route, request.method().as_str(), status.as_str()];
    api.metrics.http_requests_total.with_label_values(&labels).inc();
    api.metrics.http_request_seconds.with_label_values(&[route]).observe(began.elapsed().as_secs_f64());
    let answer = answer.map_err(|error| challenged(error, route, &request, &api));
    signed(answer, &request, &api)
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
            let nonce = api.server_keys.get().map(|keys| keys.digest_nonces().issue(received::now_s()));
            let schemes = schemes::offered(request, api);
            error.with_headers(challenges(&schemes, nonce.as_deref(), reason == "stale"))
        }
        None => error,
    }
}

/// Counts a request while it is answered, also when its client goes away first.
struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    fn enter(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
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
    let segments = path.route();
    if let [provider @ .., "encryption"] = segments.as_slice()
        && let Ok(provider) = EncryptionProvider::from_segments(provider.iter().copied())
    {
        return ("encryption", udrm::encryption(provider, request, payload, api, auth).await);
    }
    if let [provider @ .., LICENSE] = segments.as_slice()
        && let Some(provider) = LicenseProvider::from_segments(provider)
    {
        return (LICENSE, license::license(provider, request, payload, api, auth).await);
    }
    if let [provider @ .., "schedule"] = segments.as_slice()
        && let Ok(provider) = EncryptionProvider::from_segments(provider.iter().copied())
    {
        return ("schedule", schedule::schedule(provider, request, payload, api, auth).await);
    }
    if let ["widevine", "cenc", "getcontentkey", account @ ..] | ["cenc", "getcontentkey", account @ ..] =
        segments.as_slice()
        && account.len() <= 1
    {
        // The account keeps the case it came in.
        let account = account.first().and_then(|_| path.segments().last()).map(String::as_str);
        let answer = widevine::content_key(account, request, payload, api, auth).await;
        return ("getcontentkey", answer);
    }
    if let Some(route) = PolicyRoute::read(&segments, path.segments()) {
        return ("policy", policy::policy(route, request, payload, api, auth).await);
    }
    let name = match segments.as_slice() {
        ["healthz"] => "healthz",
        ["readyz"] => "readyz",
        ["metrics"] => "metrics",
        ["capabilities"] => "capabilities",
        _ => return ("other", Err(unknown(request.path()))),
    };
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let message = format!("method {} is not supported here; use GET", request.method());
        return (name, Err(ApiError::new(ErrorKind::MethodNotAllowed, message)));
    }
    let answer = match name {
        "healthz" => Ok(observe::healthy()),
        "readyz" => observe::ready(api).await,
        "capabilities" => capabilities::answer(request, api),
        _ => observe::metrics(api),
    };
    (name, answer)
}

fn unknown(path: &str) -> ApiError {
    let providers = EncryptionProvider::ALL.map(|provider| format!("/{provider}/encryption")).join(", ");
    let players = LicenseProvider::ALL.map(|provider| format!("/{provider}/license")).join(", ");
    let message = format!(
        "there is nothing at {path}; the encryption endpoints are {providers} and /cenc/getcontentkey, and in \
         place of encryption the first have schedule; players ask at {players}; policies are at /policy"
    );
    ApiError::new(ErrorKind::NotFound, message)
}
