//! The listener of the API: one actix-web server, one authenticator actor per worker.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use actix_web::dev::Server;
use actix_web::web;
use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::settings::HttpSettings;
use crate::settings::WebOrigin;
use keymoot_auth::{AuthHandle, Authenticator};
use keymoot_protocol::{ServerKeys, SignatureWindow};
use keymoot_service::DrmHandle;
use keymoot_service::{Accounts, Keys, Licenses, Nonces, Policies, Readiness};
use keymoot_telemetry::Metrics;
use keymoot_tls::TlsError;

use super::connection::ClientTimeouts;
use super::drain::Drain;
use super::listener::{Listener, TlsOf};
use super::routes::dispatch;

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// Content keys.
    pub keys: Keys,
    /// Licenses.
    pub licenses: Licenses,
    /// Sites whose pages may send credentials with license requests; empty: any page may ask, without.
    pub allowed_origins: Arc<[WebOrigin]>,
    /// Policies.
    pub policies: Policies,
    /// Accounts.
    pub accounts: Arc<Accounts>,
    /// Nonces of signed requests.
    pub nonces: Arc<Nonces>,
    /// What this server proves itself with, once the cluster has it.
    pub server_keys: Arc<OnceLock<ServerKeys>>,
    /// The DRM systems.
    pub drm: DrmHandle,
    /// Whether the node can serve.
    pub readiness: Readiness,
    /// The requests under way.
    pub drain: Drain,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// The longest body read.
    pub body_bytes_max: usize,
    /// The longest body of a bulk request read.
    pub bulk_body_bytes_max: usize,
    /// Bytes of bulk requests that may be held before they are authenticated.
    pub unproved_bulk_bytes: Arc<Semaphore>,
    /// How long clients are waited for.
    pub timeouts: ClientTimeouts,
    /// Proxies whose word on the caller's address is taken.
    pub trusted_proxies: Arc<[IpNet]>,
    /// For how long message signatures are good.
    pub signature_window: SignatureWindow,
    /// Whether clients are asked for certificates.
    pub client_certificates: bool,
}

/// Why the API cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}")]
    Listen {
        /// The configured address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A listener's certificate cannot be used.
    #[error("cannot use a listener's certificate")]
    Tls(#[from] TlsError),
}

/// Binds the API's address and makes the server; it serves when awaited. `connections_max` are held open
/// at once.
///
/// # Errors
/// [`HttpError`]; then nothing listens.
pub fn listen(
    config: &HttpSettings,
    connections_max: usize,
    api: Api,
) -> Result<(Server, Vec<SocketAddr>), HttpError> {
    let http = &config.http;
    let workers = http.worker_threads();
    let listener = Listener {
        config,
        metrics: api.metrics.clone(),
        name: "http",
        address: http.listen,
        workers,
        connections_per_worker_max: connections_max / workers,
        tls: TlsOf {
            cert: &http.tls_cert_file,
            key: &http.tls_key_file,
            client_ca: &http.tls_client_ca_file,
            client_required: false,
        },
    };
    let mailbox = config.waiting_checks_max;
    let (directory, nonces) = (api.accounts.clone(), api.nonces.clone());
    let api = web::Data::new(api);
    listener.serve(move |app| {
        // One per worker, so that checking signatures scales with the workers.
        let auth = AuthHandle::start(Authenticator::new(directory.clone()), nonces.clone(), mailbox);
        app.app_data(api.clone()).app_data(web::Data::new(auth)).default_service(web::to(dispatch));
    })
}
