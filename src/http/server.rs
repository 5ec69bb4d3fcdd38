//! The listener of the API: one actix-web server, one authenticator actor per worker.

use std::any::Any;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::{Extensions, Server};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use ipnet::IpNet;
use rustls::ServerConfig;

use crate::auth::{AuthHandle, Authenticator, ClientCertificate, ServerKeys, SignatureWindow};
use crate::config::{Config, WebOrigin};
use crate::crypto::tls::TlsError;
use crate::crypto::{ApiTls, ApiTlsFiles};
use crate::drm::actor::DrmHandle;
use crate::service::{Accounts, Keys, Licenses, Nonces, Policies, Readiness};
use crate::telemetry::Metrics;

use super::drain::Drain;
use super::routes::dispatch;

/// How often certificate files are looked at. Renewal happens days before the old ones end.
const RELOAD_EVERY: Duration = Duration::from_secs(5);

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
    /// Proxies whose word on the caller's address is taken.
    pub trusted_proxies: Arc<[IpNet]>,
    /// For how long message signatures are good.
    pub signature_window: SignatureWindow,
    /// Whether clients are asked for certificates.
    pub client_certificates: bool,
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
    /// A listener's certificate cannot be used.
    #[error("cannot use a listener's certificate")]
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
    let (directory, nonces, metrics) = (api.accounts.clone(), api.nonces.clone(), api.metrics.clone());
    let api = web::Data::new(api);
    let server = HttpServer::new(move || {
        // One per worker, so that checking signatures scales with the workers.
        let auth = AuthHandle::start(Authenticator::new(directory.clone()), nonces.clone(), mailbox);
        App::new().app_data(api.clone()).app_data(web::Data::new(auth)).default_service(web::to(dispatch))
    })
    .on_connect(remember_certificate)
    .workers(workers)
    .max_connections(config.http.connections_per_worker_max)
    .keep_alive(Duration::from_millis(config.http.keep_alive_ms))
    .client_request_timeout(Duration::from_millis(config.http.header_timeout_ms))
    .shutdown_timeout(config.http.drain_timeout_ms.div_ceil(1000))
    .disable_signals();
    let address = config.http.listen;
    let refused = |source| HttpError::Listen { address: address.to_string(), source };
    let http = &config.http;
    let expires = Expires { metrics, listener: "http" };
    let tls =
        followed_tls(&http.tls_cert_file, &http.tls_key_file, &http.tls_client_ca_file, false, expires)?;
    let server = match tls {
        Some(tls) => server.bind_rustls_0_23(address, tls).map_err(refused)?,
        None => server.bind(address).map_err(refused)?,
    };
    let addresses = server.addrs();
    Ok((server.run(), addresses))
}

/// Where it is measured until when a listener's certificate is valid.
pub(super) struct Expires {
    pub metrics: Arc<Metrics>,
    /// The listener's name there.
    pub listener: &'static str,
}

impl Expires {
    fn measure(&self, tls: &ApiTls) {
        let gauge = self.metrics.certificate_expires_timestamp_seconds.with_label_values(&[self.listener]);
        gauge.set(tls.expires_at_s().unwrap_or(0));
    }
}

/// The TLS of a listener, if it has a certificate; it follows its files from now on. With an authority
/// of client certificates clients may show one, or must.
pub(super) fn followed_tls(
    cert: &Option<PathBuf>,
    key: &Option<PathBuf>,
    client_ca: &Option<PathBuf>,
    client_required: bool,
    expires: Expires,
) -> Result<Option<ServerConfig>, TlsError> {
    let (Some(cert), Some(key)) = (cert.clone(), key.clone()) else { return Ok(None) };
    let tls = ApiTls::load(ApiTlsFiles { cert, key, client_ca: client_ca.clone(), client_required })?;
    let server_config = tls.server_config()?;
    actix_web::rt::spawn(follow_files(tls, expires));
    Ok(Some(server_config))
}

/// Looks at the certificate files again and again, as long as the process lives.
async fn follow_files(tls: ApiTls, expires: Expires) {
    loop {
        expires.measure(&tls);
        actix_web::rt::time::sleep(RELOAD_EVERY).await;
        match tls.reload() {
            Ok(true) => tracing::info!("a listener's certificates were read anew"),
            Ok(false) => {}
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "a listener's certificates changed and cannot be used; the old ones stay");
            }
        }
    }
}

/// Keeps the certificate that a client showed with its connection, for the requests on it.
pub(super) fn remember_certificate(connection: &dyn Any, kept: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>()
        && let Some(chain) = stream.get_ref().1.peer_certificates()
        && let Some(certificate) = chain.first().and_then(|own| ClientCertificate::parse(own))
    {
        kept.insert(certificate);
    }
}
