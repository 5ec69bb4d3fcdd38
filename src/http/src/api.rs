//! What every handler works with: the use cases, the limits, and what is counted.

use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use keymoot_audit::NodeAudit;
use keymoot_auth::BackOff;
use keymoot_protocol::{ServerKeys, SignatureWindow};
use keymoot_service::DrmHandle;
use keymoot_service::{AccountLimits, Accounts, Keys, Licenses, Nonces, Policies, QuorumContact, Readiness};
use keymoot_telemetry::Metrics;

use crate::answer::audited::StrangerRate;
use crate::front::observe::MetricsToken;
use crate::listener::connection::ClientTimeouts;
use crate::listener::drain::Drain;
use crate::listener::settings::{LicenseBase, MetricsAccess, WebOrigin};
use crate::request::authority::Authorities;
use crate::request::incoming_body::BodyRoom;

/// What the handlers use. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    pub keys: Keys,
    pub licenses: Licenses,
    /// Where players ask for licenses whose account has no license server of its own.
    pub license_url: Option<LicenseBase>,
    /// Sites whose pages may send credentials with license requests; empty: any page may ask, without.
    pub allowed_origins: Arc<[WebOrigin]>,
    pub policies: Policies,
    pub accounts: Arc<Accounts>,
    /// Whether this node knows what may be granted.
    pub contact: Arc<QuorumContact>,
    /// Who showed wrong credentials.
    pub back_off: Arc<BackOff>,
    /// What accounts may.
    pub limits: Arc<AccountLimits>,
    /// Nonces of signed requests.
    pub nonces: Arc<Nonces>,
    /// What this server proves itself with, once the cluster has it.
    pub server_keys: Arc<OnceLock<ServerKeys>>,
    pub drm: DrmHandle,
    /// Whether the node can serve.
    pub readiness: Readiness,
    pub drain: Drain,
    pub metrics: Arc<Metrics>,
    /// Where everything that is granted, changed and refused is written.
    pub audit: NodeAudit,
    /// How much of what strangers are refused is written there.
    pub strangers: Arc<StrangerRate>,
    /// The longest body read.
    pub body_bytes_max: usize,
    /// The longest body of a bulk request read.
    pub bulk_body_bytes_max: usize,
    /// What bodies may take that are held before they are authenticated.
    pub unproved_bodies: BodyRoom,
    /// Who may read the metrics.
    pub metrics_access: MetricsAccess,
    pub metrics_token: Option<MetricsToken>,
    /// How long clients are waited for.
    pub timeouts: ClientTimeouts,
    /// Proxies whose word on the caller's address, and on how it came, is taken.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Whether passwords are taken over plain HTTP from this machine itself.
    pub loopback_passwords: bool,
    /// Which servers' names message signatures may be for.
    pub authorities: Arc<Authorities>,
    /// For how long message signatures are good.
    pub signature_window: SignatureWindow,
    /// Whether clients are asked for certificates.
    pub client_certificates: bool,
}
