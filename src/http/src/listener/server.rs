//! The listener of the API: one actix-web server, one authenticator actor per worker.

use std::net::SocketAddr;

use actix_web::dev::Server;
use actix_web::web;

use keymoot_auth::{AuthHandle, Authenticator};
use keymoot_crypto::tls::TlsError;

use crate::api::Api;
use crate::dispatch::dispatch;
use crate::listener::bind::{Listener, TlsOf};
use crate::listener::settings::HttpSettings;

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
