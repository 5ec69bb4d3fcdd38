//! The API's listener and the packagers' one: the same but for the address, the certificates and what is
//! served there. Each is an actix-web server with one authenticator actor per worker.

use std::net::SocketAddr;

use actix_web::dev::Server;
use actix_web::web;
use actix_web::web::ServiceConfig;

use keymoot_auth::{AuthHandle, Authenticator};
use keymoot_tls::TlsError;

use crate::api::Api;
use crate::dispatch::route_table::{API, PACKAGER, PACKAGERS};
use crate::dispatch::{Site, dispatch};
use crate::front::packager::PackagerContext;
use crate::listener::bind::{Listener, TlsOf};
use crate::listener::settings::HttpSettings;

/// Why a listener does not listen.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}")]
    Listen { address: String, source: std::io::Error },
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
    let (listener, site) = for_signing(config, connections_max, api);
    serve(listener, site)
}

/// The API's listener, and what is served there.
pub(super) fn for_signing(config: &HttpSettings, connections_max: usize, api: Api) -> (Listener<'_>, Site) {
    let http = &config.http;
    let workers = http.worker_threads();
    let listener = Listener {
        config,
        metrics: api.metrics.clone(),
        name: "http",
        address: http.listen,
        workers,
        connections_per_worker_max: connections_max / workers,
        tls: TlsOf::of_api(http),
    };
    (listener, Site { api, routes: &API, packagers: None })
}

/// Binds the packagers' address, if one is configured, and makes the server; it serves when awaited.
/// `connections_max` are held open at once.
///
/// # Errors
/// [`HttpError`]; then nothing listens.
pub fn listen_for_packagers(
    config: &HttpSettings,
    connections_max: usize,
    api: Api,
) -> Result<Option<(Server, Vec<SocketAddr>)>, HttpError> {
    let Some((listener, site)) = for_packagers(config, connections_max, api) else { return Ok(None) };
    serve(listener, site).map(Some)
}

/// The packagers' listener, if there is one, and what is served there.
pub(super) fn for_packagers(
    config: &HttpSettings,
    connections_max: usize,
    api: Api,
) -> Option<(Listener<'_>, Site)> {
    let packager = &config.packager;
    let address = packager.listen?;
    let listener = Listener {
        config,
        metrics: api.metrics.clone(),
        name: PACKAGER,
        address,
        workers: 1,
        connections_per_worker_max: connections_max,
        tls: TlsOf {
            cert: &packager.tls_cert_file,
            key: &packager.tls_key_file,
            client_ca: &packager.tls_client_ca_file,
            client_required: packager.tls_client_ca_file.is_some(),
            for_operators: false,
        },
    };
    let packagers = Some(PackagerContext::new(config));
    Some((listener, Site { api, routes: &PACKAGERS, packagers }))
}

fn serve(listener: Listener<'_>, site: Site) -> Result<(Server, Vec<SocketAddr>), HttpError> {
    let setup = handlers(&listener, site);
    listener.bind(setup)
}

/// What answers at each worker.
pub(super) fn handlers(
    listener: &Listener<'_>,
    site: Site,
) -> impl Fn(&mut ServiceConfig) + Send + Clone + 'static {
    let mailbox = listener.config.waiting_checks_max;
    let (directory, nonces) = (site.api.accounts.clone(), site.api.nonces.clone());
    let site = web::Data::new(site);
    move |app| {
        // One per worker, so that checking signatures scales with the workers.
        let auth = AuthHandle::start(Authenticator::new(directory.clone()), nonces.clone(), mailbox);
        app.app_data(site.clone()).app_data(web::Data::new(auth)).default_service(web::to(dispatch));
    }
}
