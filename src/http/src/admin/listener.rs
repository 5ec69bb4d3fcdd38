//! The listener of the admin API: TLS with the node's own certificate, for client certificates of the cluster's authority and
//! for sessions.

use std::net::SocketAddr;
use std::path::PathBuf;

use actix_web::dev::Server;
use actix_web::web;

use keymoot_service::admin::Administration;

use super::{ADMIN, AdminSite, dispatch};
use crate::api::Api;
use crate::listener::bind::{Listener, TlsOf};
use crate::listener::server::HttpError;
use crate::listener::settings::HttpSettings;

/// Operators are few.
const CONNECTIONS_MAX: usize = 32;

/// Where operators connect to, and the certificate that the node shows them.
#[derive(Clone, Debug)]
pub struct AdminListener {
    pub listen: SocketAddr,
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// The authority of the operators' certificates: the cluster's.
    pub ca_file: PathBuf,
}

/// Binds the operators' address and makes the server; it serves when awaited.
///
/// # Errors
/// [`HttpError`]; then nothing listens.
pub fn listen_for_operators(
    config: &HttpSettings,
    admin: AdminListener,
    api: Api,
    administration: Administration,
) -> Result<(Server, Vec<SocketAddr>), HttpError> {
    let (cert, key, client_ca) = (Some(admin.cert_file), Some(admin.key_file), Some(admin.ca_file));
    let listener = Listener {
        config,
        metrics: api.metrics.clone(),
        name: ADMIN,
        address: admin.listen,
        workers: 1,
        connections_per_worker_max: CONNECTIONS_MAX,
        tls: TlsOf {
            cert: &cert,
            key: &key,
            client_ca: &client_ca,
            // Who has a session shows none. Whoever has neither is refused at each request.
            client_required: false,
            for_operators: true,
        },
    };
    let site = web::Data::new(AdminSite { api, administration });
    listener.bind(move |app| {
        app.app_data(site.clone()).default_service(web::to(dispatch));
    })
}
