//! What every handler works with: the use cases, the limits, and what is counted.

use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use tokio::sync::Semaphore;

use keymoot_protocol::{ServerKeys, SignatureWindow};
use keymoot_service::DrmHandle;
use keymoot_service::{Accounts, Keys, Licenses, Nonces, Policies, QuorumContact, Readiness};
use keymoot_telemetry::Metrics;

use crate::listener::connection::ClientTimeouts;
use crate::listener::drain::Drain;
use crate::listener::settings::WebOrigin;

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub keys: Keys,
    pub licenses: Licenses,
    /// Sites whose pages may send credentials with license requests; empty: any page may ask, without.
    pub allowed_origins: Arc<[WebOrigin]>,
    pub policies: Policies,
    pub accounts: Arc<Accounts>,
    /// Whether this node knows what may be granted.
    pub contact: Arc<QuorumContact>,
    /// Nonces of signed requests.
    pub nonces: Arc<Nonces>,
    /// What this server proves itself with, once the cluster has it.
    pub server_keys: Arc<OnceLock<ServerKeys>>,
    pub drm: DrmHandle,
    /// Whether the node can serve.
    pub readiness: Readiness,
    pub drain: Drain,
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
