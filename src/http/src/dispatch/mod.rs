//! The one way in: every request of every listener is counted, routed, measured, answered and, when
//! refused, answered in the specification's error format.

pub(crate) mod endpoint;
pub(crate) mod route_table;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use keymoot_audit::{Action, Trail};
use keymoot_auth::{AuthError, AuthHandle};
use keymoot_drm::EncryptionProvider;
use keymoot_model::{DocumentPath, client_network};
use keymoot_service::DocumentKind;

use crate::answer::audited::settle;
use crate::answer::challenges::challenges;
use crate::answer::error::{ApiError, ErrorKind};
use crate::answer::signed_answer::signed;
use crate::answer::sliced_body::sliced;
use crate::api::Api;
use crate::front::documents::SpekePath;
use crate::front::packager::PackagerContext;
use crate::front::policy::PolicyRoute;
use crate::front::{
    bulk, capabilities, documents, export, hls, license, observe, packager, playready, policy, schedule,
    udrm, widevine,
};
use crate::openapi;
use crate::request::answering::on_behalf_of;
use crate::request::caller::caller;
use crate::request::clock::now_s;
use crate::request::method_label::method_label;
use crate::request::path::RequestPath;
use crate::request::{host, schemes};
use endpoint::{Audited, Endpoint, HLS_KEY, LICENSE};
use route_table::{Callers, RouteMatch, RouteTable};

/// What a listener serves.
pub(crate) struct Site {
    pub api: Api,
    pub routes: &'static RouteTable,
    /// What the packagers' listener knows of its callers.
    pub packagers: Option<PackagerContext>,
}

pub(crate) async fn dispatch(
    request: HttpRequest,
    payload: Payload,
    site: Data<Site>,
    auth: Data<AuthHandle>,
) -> HttpResponse {
    let began = Instant::now();
    let api = &site.api;
    let _answering = api.drain.enter(&request);
    let caller = caller(&request, api).ok();
    let client = caller.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), client_network);
    let trail = Trail::new(api.audit.clone(), Action::REQUEST, caller);
    let answering = answered(&request, payload, &site, &auth, (client, &trail));
    let (route, answer) = on_behalf_of(client, trail.clone(), answering).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.status(),
    };
    let labels = [route, method_label(request.method()), status.as_str()];
    api.metrics.http_requests_total.with_label_values(&labels).inc();
    api.metrics.http_request_seconds.with_label_values(&[route]).observe(began.elapsed().as_secs_f64());
    let answer = answer.map_err(|error| challenged(error, route, &request, &site));
    let mut response = match site.routes.callers {
        Callers::Signing => signed(answer, &request, api),
        Callers::Packagers => answer,
    }
    .unwrap_or_else(HttpResponse::from_error);
    match site.routes.callers {
        Callers::Signing => api.drain.mark(&mut response),
        Callers::Packagers => response.head_mut().set_connection_type(ConnectionType::Close),
    }
    keep_out_of_caches(&mut response);
    sliced(response)
}

/// Nothing that may carry a key is kept by whoever stands in between: that is all that does not say otherwise.
fn keep_out_of_caches(response: &mut HttpResponse) {
    if !response.headers().contains_key(header::CACHE_CONTROL) {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Counts a refusal to somebody unauthorized, and tells how they may prove themselves. A player is
/// told nothing: its browser would ask the viewer for a password.
fn challenged(error: ApiError, route: &str, request: &HttpRequest, site: &Site) -> ApiError {
    let api = &site.api;
    match error.refusal() {
        Some(reason) => {
            api.metrics.auth_refusals_total.with_label_values(&[reason]).inc();
            if route == Endpoint::Metrics.name() {
                return error
                    .with_headers(vec![(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))]);
            }
            if [LICENSE, HLS_KEY].contains(&route) || site.routes.callers == Callers::Packagers {
                return error;
            }
            let nonce = api.server_keys.get().map(|keys| keys.digest_nonces().issue(now_s()));
            let schemes = schemes::accepted(request, api);
            error.with_headers(challenges(&schemes, nonce.as_deref(), reason == "stale"))
        }
        None => error,
    }
}

/// The route's name in metrics, and what it answers once the audit has it.
async fn answered(
    request: &HttpRequest,
    payload: Payload,
    site: &Site,
    auth: &AuthHandle,
    (client, trail): (IpAddr, &Trail),
) -> (&'static str, Result<HttpResponse, ApiError>) {
    let api = &site.api;
    let (endpoint, answer) = route(request, payload, site, auth, trail).await;
    let name = endpoint.map_or(site.routes.unrouted, Endpoint::name);
    let audited = endpoint.map(|endpoint| endpoint.audited(request.method()));
    let is_told = match (&audited, &answer) {
        (Some(Audited::Refusals(_)), Ok(_)) => false,
        (Some(Audited::Refusals(_)), Err(error)) => error.kind() != ErrorKind::Busy,
        _ => true,
    };
    if is_told && let Err(unaudited) = settle(trail, answer.as_ref().err(), client, &api.strangers).await {
        return (name, in_form_of(endpoint, unaudited, api));
    }
    (name, answer)
}

/// A refusal in the form that clients of the endpoint read.
fn in_form_of(endpoint: Option<Endpoint>, refusal: ApiError, api: &Api) -> Result<HttpResponse, ApiError> {
    match endpoint {
        Some(Endpoint::PackagingData) => Err(refusal.into_soap_fault()),
        Some(Endpoint::ContentKey) => Ok(widevine::unavailable(refusal, api)),
        Some(Endpoint::Speke(_) | Endpoint::Cpix) => Err(refusal.into_text()),
        _ => Err(refusal),
    }
}

/// Where the path leads, if anywhere, and what is answered there.
async fn route(
    request: &HttpRequest,
    payload: Payload,
    site: &Site,
    auth: &AuthHandle,
    trail: &Trail,
) -> (Option<Endpoint>, Result<HttpResponse, ApiError>) {
    if let Some(packagers) = &site.packagers
        && let Err(refusal) = packagers.must_allow(request)
    {
        return (None, Err(refusal));
    }
    if let Err(refusal) = host::must_be_sound(request) {
        return (None, Err(refusal));
    }
    let path = match RequestPath::parse(request.path()) {
        Ok(path) => path,
        Err(error) => return (None, Err(error.into())),
    };
    let prefix = site.packagers.as_ref().map_or(&[][..], PackagerContext::prefix);
    let Some(path) = path.behind(prefix) else {
        return (None, Err(unknown(request.path(), site.routes.callers)));
    };
    let found = match site.routes.find(&path) {
        Some(found) => found,
        None => match own_path(request.path(), site) {
            Ok(Some(endpoint)) => RouteMatch { endpoint, captured: Vec::new(), next: None },
            Ok(None) => return (None, Err(unknown(request.path(), site.routes.callers))),
            Err(error) => return (None, Err(error)),
        },
    };
    let endpoint = found.endpoint;
    let audited = endpoint.audited(request.method());
    trail.asks_for(audited.action().clone());
    if let Err(refusal) = must_allow(endpoint, request.method()) {
        return (Some(endpoint), Err(refusal));
    }
    if matches!(audited, Audited::Always(_))
        && let Err(why) = site.api.audit.log.state()
    {
        return (Some(endpoint), in_form_of(Some(endpoint), ApiError::unaudited(&why), &site.api));
    }
    (Some(endpoint), answer(&found, request, payload, site, auth).await)
}

/// Calls the front end that answers.
async fn answer(
    found: &RouteMatch<'_>,
    request: &HttpRequest,
    payload: Payload,
    site: &Site,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let api = &site.api;
    // The caller's own segment, in the case it came in; no route of the API has more than one.
    let named = found.captured.first().copied();
    let own = named.unwrap_or_default();
    match found.endpoint {
        Endpoint::Encryption(provider) => udrm::encryption(provider, request, payload, api, auth).await,
        Endpoint::Schedule(provider) => schedule::schedule(provider, request, payload, api, auth).await,
        Endpoint::ContentKey => widevine::content_key(named, request, payload, api, auth).await,
        Endpoint::PackagingData => {
            let answer = playready::packaging_data(own, request, payload, api, auth);
            answer.await.map_err(ApiError::into_soap_fault)
        }
        Endpoint::Speke(path) => {
            let answer = documents::speke(path, named, request, payload, api, auth);
            answer.await.map_err(ApiError::into_text)
        }
        Endpoint::Cpix => {
            documents::cpix(named, request, payload, api, auth).await.map_err(ApiError::into_text)
        }
        Endpoint::HlsKeyInfo => hls::key_info(request, api, auth).await,
        Endpoint::HlsKey => hls::key(own, request, api, auth).await,
        Endpoint::License(provider) => license::license(provider, request, payload, api, auth).await,
        Endpoint::Policies => policy::policy(PolicyRoute::All, request, payload, api, auth).await,
        Endpoint::Policy => policy::policy(PolicyRoute::One(own), request, payload, api, auth).await,
        Endpoint::PolicyContent => {
            policy::policy(PolicyRoute::Content(own), request, payload, api, auth).await
        }
        Endpoint::PolicyDefault => {
            policy::policy(PolicyRoute::Default(own), request, payload, api, auth).await
        }
        Endpoint::Bulk => bulk::bulk(request, payload, api, auth).await,
        Endpoint::Export => export::export(request, payload, api, auth).await,
        Endpoint::Capabilities => capabilities::answer(request, api),
        Endpoint::Document => openapi::answer(),
        Endpoint::Viewer => openapi::viewer(request.path(), named),
        Endpoint::Healthy => Ok(observe::probed(request, observe::healthy())),
        Endpoint::Ready | Endpoint::Heartbeat => {
            let ready = observe::ready(&api.readiness, &api.drain).await?;
            Ok(observe::probed(request, ready))
        }
        Endpoint::Metrics => {
            observe::metrics(request, (api.metrics_access, api.metrics_token.as_ref()), &api.metrics)
        }
        Endpoint::EntryKey => match &site.packagers {
            Some(context) => {
                packager::entry_key((&found.captured, found.next), request, context, api, auth).await
            }
            None => Err(unknown(request.path(), site.routes.callers)),
        },
    }
}

/// What is served at a path that an account has for its own documents, or for the heartbeat below.
fn own_path(path: &str, site: &Site) -> Result<Option<Endpoint>, ApiError> {
    if site.routes.callers != Callers::Signing {
        return Ok(None);
    }
    let kind = |path: &str| match DocumentPath::new(path) {
        Ok(path) => site.api.accounts.of_path(&path).map_err(|error| AuthError::Unreadable(error).into()),
        Err(_) => Ok::<_, ApiError>(None),
    };
    if let Some((_, kind)) = kind(path)? {
        return Ok(Some(match kind {
            DocumentKind::Speke => Endpoint::Speke(SpekePath::Any),
            DocumentKind::Cpix => Endpoint::Cpix,
        }));
    }
    let lower = path.trim_end_matches('/').to_ascii_lowercase();
    let Some(above) = lower.strip_suffix("/heartbeat") else { return Ok(None) };
    Ok(kind(above)?.map(|_| Endpoint::Heartbeat))
}

fn must_allow(endpoint: Endpoint, method: &Method) -> Result<(), ApiError> {
    let methods = endpoint.methods();
    let is_asked_for_options = endpoint.has_options() && method == Method::OPTIONS;
    if methods.contains(method) || (endpoint.has_head() && method == Method::HEAD) || is_asked_for_options {
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

fn unknown(path: &str, callers: Callers) -> ApiError {
    if callers == Callers::Packagers {
        let message = "packagers ask for /system/{ca}/{word}/p/{pid}/sp/{sp}/entryId/{eid}/…, behind packager.prefix if that is set";
        return ApiError::new(ErrorKind::NotFound, message);
    }
    let providers = EncryptionProvider::ALL.map(|provider| format!("/{provider}/encryption")).join(", ");
    let message = format!(
        "there is nothing at {path}; the encryption endpoints are {providers} and /cenc/getcontentkey, and \
         /openapi.json describes them all"
    );
    ApiError::new(ErrorKind::NotFound, message)
}
