//! What the listeners are set up with: the configuration's sections that this crate reads, each key with
//! its default.

mod packager_account;
mod web_origin;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use keymoot_model::empty_is_none;
use serde::{Deserialize, Serialize};

pub use packager_account::{PackagerAccount, PackagerAccountError};
pub use web_origin::{WebOrigin, WebOriginError};

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// The API listener.
    pub http: Http,
    /// The listener for packagers that cannot sign.
    pub packager: Packager,
    /// Requests that wait for their signature check, at most.
    pub waiting_checks_max: usize,
}

/// The API listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where scramblers and players connect to.
    pub listen: SocketAddr,
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    /// The certificate chain, PEM; none means plain HTTP.
    #[serde(with = "empty_is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM; a secret file.
    #[serde(with = "empty_is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// The authority of client certificates, PEM; none means that clients show none.
    #[serde(with = "empty_is_none")]
    pub tls_client_ca_file: Option<PathBuf>,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// The largest body of a bulk request.
    pub max_bulk_body_bytes: usize,
    /// Bodies of bulk requests held before they are authenticated, all together.
    pub unproved_bulk_bytes_max: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The most connections one worker holds open.
    pub connections_per_worker_max: usize,
    /// How long an idle connection is kept open.
    pub keep_alive_ms: u64,
    /// How long a client may take to send its request line and headers.
    pub header_timeout_ms: u64,
    /// How long a whole body may take.
    pub body_timeout_ms: u64,
    /// How fast a body must come, counted from `header_timeout_ms` after its head on.
    pub body_bytes_per_s_min: u64,
    /// How long a client may take nothing of an answer before its connection is closed.
    pub write_timeout_ms: u64,
    /// How long running requests may finish after a stop was asked for.
    pub drain_timeout_ms: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            workers: 0,
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
            max_body_bytes: 65_536,
            max_bulk_body_bytes: 4 * 1024 * 1024,
            unproved_bulk_bytes_max: 64 * 1024 * 1024,
            trusted_proxies: Vec::new(),
            connections_per_worker_max: 10_000,
            keep_alive_ms: 75_000,
            header_timeout_ms: 5_000,
            body_timeout_ms: 180_000,
            body_bytes_per_s_min: 4096,
            write_timeout_ms: 30_000,
            drain_timeout_ms: 12_000,
        }
    }
}

impl Http {
    /// How many worker threads there are.
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}

/// The listener for packagers that cannot sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packager {
    /// Where packagers connect to; none means that there is no such listener.
    #[serde(with = "empty_is_none")]
    pub listen: Option<SocketAddr>,
    /// The certificate chain, PEM; none means plain HTTP.
    #[serde(with = "empty_is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM; a secret file.
    #[serde(with = "empty_is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// The authority of packagers' certificates, PEM; with it, each must show one of its account's.
    #[serde(with = "empty_is_none")]
    pub tls_client_ca_file: Option<PathBuf>,
    /// Networks whose addresses may connect. Empty: none, or where certificates are demanded, all.
    pub allow_list: Vec<IpNet>,
    /// Which partner is which account.
    pub accounts: Vec<PackagerAccount>,
}
