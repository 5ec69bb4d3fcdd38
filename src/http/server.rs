//! The listener of the API: one actix-web server, one authenticator actor per worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};
use ipnet::IpNet;

use crate::auth::{AuthHandle, Authenticator};
use crate::config::Config;
use crate::crypto::tls::{TlsError, api_server_config};
use crate::drm::actor::DrmHandle;
use crate::service::{Accounts, Keys};
use crate::telemetry::Metrics;

use super::routes::dispatch;

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// Content keys.
    pub keys: Keys,
    /// Accounts.
    pub accounts: Arc<Accounts>,
    /// The DRM systems.
    pub drm: DrmHandle,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// The longest body read.
    pub body_bytes_max: usize,
    /// Proxies whose word on the caller's address is taken.
    pub trusted_proxies: Arc<[IpNet]>,
}

/// Why the API cannot be listened to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The API's certificate cannot be used.
    #[error("cannot use the API's certificate")]
    Tls(#[from] TlsError),
}

/// Binds the API's address and makes the server; it serves when awaited.
///
/// # Errors
/// [`HttpError`]; then nothing listens.
pub fn listen(config: &Config, api: Api) -> Result<(Server, Vec<SocketAddr>), HttpError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.http.workers == 0 { cores } else { config.http.workers };
    let mailbox = config.limits.authenticator_mailbox;
    let directory = api.accounts.clone();
    let api = web::Data::new(api);
    let server = HttpServer::new(move || {
        // One per worker, so that checking signatures scales with the workers.
        let auth = AuthHandle::start(Authenticator::new(directory.clone()), mailbox);
        App::new().app_data(api.clone()).app_data(web::Data::new(auth)).default_service(web::to(dispatch))
    })
    .workers(workers)
    .max_connections(config.http.connections_per_worker_max)
    .keep_alive(Duration::from_millis(config.http.keep_alive_ms))
    .client_request_timeout(Duration::from_millis(config.http.header_timeout_ms))
    .shutdown_timeout(config.http.drain_timeout_ms.div_ceil(1000))
    .disable_signals();
    let address = config.http.listen;
    let refused = |source| HttpError::Listen { address: address.to_string(), source };
    let server = match (&config.http.tls_cert_file, &config.http.tls_key_file) {
        (Some(cert), Some(key)) => {
            server.bind_rustls_0_23(address, api_server_config(cert, key)?).map_err(refused)?
        }
        _ => server.bind(address).map_err(refused)?,
    };
    let addresses = server.addrs();
    Ok((server.run(), addresses))
}
