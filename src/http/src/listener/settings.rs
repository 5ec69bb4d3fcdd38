//! What the listeners are set up with: the configuration's sections that this crate reads, each key with
//! its default.

mod authority;
mod license_base;
mod metrics_access;
mod packager_account;
mod packager_prefix;
mod packager_systems;
mod plain_http;
mod tls_source;
mod web_origin;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use keymoot_license::clear_key;
use keymoot_model::{empty_is_none, networks};
use keymoot_protocol::CustomData;
use serde::{Deserialize, Serialize};

pub use authority::{Authority, AuthorityError};
pub use license_base::{LicenseBase, LicenseBaseError};
pub use metrics_access::{MetricsAccess, OpenMetrics, open_metrics};
pub use packager_account::{PackagerAccount, PackagerAccountError};
pub use packager_prefix::{PackagerPrefix, PackagerPrefixError};
pub use packager_systems::{PackagerSystems, PackagerSystemsError, SystemsOf};
pub use plain_http::{PlainHttp, plain_http};
pub use tls_source::{TlsName, TlsNameError, TlsSource};
pub use web_origin::{WebOrigin, WebOriginError};

/// The default of `http.max_body_bytes`.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The default of `http.max_bulk_body_bytes`.
const MAX_BULK_BODY_BYTES: usize = 4 * 1024 * 1024;
/// The default of `http.unproved_body_bytes_max`.
const UNPROVED_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The default of `http.header_timeout_ms`.
const HEADER_TIMEOUT_MS: u64 = 5_000;
/// The default of `http.body_timeout_ms`.
const BODY_TIMEOUT_MS: u64 = 180_000;

// A body of custom data is read whole, a bulk body is larger than others, and several bulk bodies of full
// length may wait for their authentication.
const _: () = assert!(CustomData::BYTES_MAX <= MAX_BODY_BYTES);
const _: () =
    assert!(MAX_BODY_BYTES <= MAX_BULK_BODY_BYTES && 2 * MAX_BULK_BODY_BYTES <= UNPROVED_BODY_BYTES_MAX);
// What the license servers read of a challenge comes through.
const _: () = assert!(clear_key::REQUEST_BYTES_MAX <= MAX_BODY_BYTES);
// The rate of a body counts from `header_timeout_ms` after its head.
const _: () = assert!(HEADER_TIMEOUT_MS < BODY_TIMEOUT_MS);

/// The sections of both listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
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
    /// Where its certificate comes from.
    pub tls: TlsSource,
    /// The names and addresses in a certificate that the node makes itself.
    pub tls_names: Vec<TlsName>,
    /// The certificate chain, PEM.
    #[serde(with = "empty_is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM; a secret file.
    #[serde(with = "empty_is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// The authority of client certificates, PEM; none means that clients show none.
    #[serde(with = "empty_is_none")]
    pub tls_client_ca_file: Option<PathBuf>,
    /// Who may read the metrics there.
    pub metrics: MetricsAccess,
    /// The token of whoever may; a secret file.
    #[serde(with = "empty_is_none")]
    pub metrics_token_file: Option<PathBuf>,
    /// The largest request body.
    pub max_body_bytes: usize,
    /// The largest body of a bulk request.
    pub max_bulk_body_bytes: usize,
    /// Bodies held before they are authenticated, all together.
    pub unproved_body_bytes_max: usize,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Whether passwords are taken over plain HTTP from this machine itself.
    pub loopback_passwords: bool,
    /// The most connections one worker holds open.
    pub connections_per_worker_max: usize,
    /// The most connections from one address, but those of trusted proxies.
    pub connections_per_address_max: usize,
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
            tls: TlsSource::default(),
            tls_names: Vec::new(),
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
            metrics: MetricsAccess::default(),
            metrics_token_file: None,
            max_body_bytes: MAX_BODY_BYTES,
            max_bulk_body_bytes: MAX_BULK_BODY_BYTES,
            unproved_body_bytes_max: UNPROVED_BODY_BYTES_MAX,
            trusted_proxies: Vec::new(),
            loopback_passwords: false,
            connections_per_worker_max: 10_000,
            connections_per_address_max: 1024,
            keep_alive_ms: 75_000,
            header_timeout_ms: HEADER_TIMEOUT_MS,
            body_timeout_ms: BODY_TIMEOUT_MS,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packager {
    /// Where packagers connect to; none means that there is no such listener.
    #[serde(with = "empty_is_none")]
    pub listen: Option<SocketAddr>,
    /// Where its certificate comes from; one that the node makes itself is the API's, with `http.tls_names`.
    pub tls: TlsSource,
    /// The certificate chain, PEM.
    #[serde(with = "empty_is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, PEM; a secret file.
    #[serde(with = "empty_is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// The authority of packagers' certificates, PEM; with it, each must show one of its account's.
    #[serde(with = "empty_is_none")]
    pub tls_client_ca_file: Option<PathBuf>,
    /// Networks whose addresses may connect. Empty: none, or where certificates are demanded, all.
    #[serde(deserialize_with = "networks")]
    pub allow_list: Vec<IpNet>,
    /// Which partner is which account.
    pub accounts: Vec<PackagerAccount>,
    /// What stands before the packagers' paths; empty: nothing.
    pub prefix: PackagerPrefix,
    /// Whose answers name which DRM systems, where it is not all of them.
    pub systems: Vec<PackagerSystems>,
}

impl Default for Packager {
    fn default() -> Self {
        Self {
            listen: None,
            tls: TlsSource::default(),
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
            allow_list: Vec::new(),
            accounts: Vec::new(),
            prefix: PackagerPrefix::default(),
            systems: vec![PackagerSystems::of_cenchls()],
        }
    }
}
