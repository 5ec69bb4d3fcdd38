//! The listener of a witness, at the API's address: it serves monitors, and no client.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::Method;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};

use keymoot_service::Readiness;
use keymoot_telemetry::Metrics;

use crate::front::observe::{self, MetricsToken};
use crate::listener::bind::{Listener, TlsOf};
use crate::listener::drain::Drain;
use crate::listener::server::HttpError;
use crate::listener::settings::{HttpSettings, MetricsAccess};

/// What monitors see of a node.
pub struct Monitored {
    pub readiness: Readiness,
    pub drain: Drain,
    pub metrics: Arc<Metrics>,
    /// Who may read the metrics.
    pub metrics_access: MetricsAccess,
    /// What opens them for [`MetricsAccess::Token`].
    pub metrics_token: Option<MetricsToken>,
}

/// Binds the API's address and makes the server; it serves when awaited. `connections_max` are held open at once.
///
/// # Errors
/// [`HttpError`]; then nothing listens.
pub fn listen_for_monitors(
    config: &HttpSettings,
    connections_max: usize,
    monitored: Monitored,
) -> Result<(Server, Vec<SocketAddr>), HttpError> {
    let http = &config.http;
    let listener = Listener {
        config,
        metrics: monitored.metrics.clone(),
        name: "http",
        address: http.listen,
        workers: 1,
        connections_per_worker_max: connections_max,
        tls: TlsOf::of_api(http),
    };
    let monitored = Data::new(monitored);
    listener.bind(move |app| {
        app.app_data(monitored.clone()).default_service(web::to(dispatch));
    })
}

async fn dispatch(request: HttpRequest, monitored: Data<Monitored>) -> HttpResponse {
    let answer = match (request.method(), request.path()) {
        (&(Method::GET | Method::HEAD | Method::OPTIONS), "/healthz") => {
            Ok(observe::probed(&request, observe::healthy()))
        }
        (&(Method::GET | Method::HEAD | Method::OPTIONS), "/readyz") => {
            let ready = observe::ready(&monitored.readiness, &monitored.drain).await;
            ready.map(|answer| observe::probed(&request, answer))
        }
        (&(Method::GET | Method::HEAD), "/metrics") => {
            let opened = (monitored.metrics_access, monitored.metrics_token.as_ref());
            observe::metrics(&request, opened, &monitored.metrics)
        }
        _ => Ok(HttpResponse::NotFound()
            .content_type("text/plain")
            .body("this node is a witness: it serves /healthz, /readyz and /metrics; ask another node\n")),
    };
    answer.unwrap_or_else(HttpResponse::from_error)
}
