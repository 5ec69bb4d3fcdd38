//! What the handlers of the API work with, made of the configuration and a started cluster.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::Arbiter;

use crate::cli::Failure;
use crate::config::Config;
use keymoot_cluster::Cluster;
use keymoot_crypto::{Keyring, random_bytes};
use keymoot_drm::Registry;
use keymoot_http::{Api, Authorities, BackOff, BackOffSettings, BodyRoom, ClientTimeouts, Drain};
use keymoot_license::LicenseSystems;
use keymoot_license::entitlement::Entitlements;
use keymoot_license::entitlement::load_entitlements;
use keymoot_outgoing::{Outgoing, OutgoingLimits};
use keymoot_protocol::SignatureWindow;
use keymoot_service::DrmActor;
use keymoot_service::{
    AccountLimits, Accounts, Keys, Leases, LicenseParts, Licenses, Nonces, Policies, QuorumContact, Readiness,
};
use keymoot_telemetry::Metrics;

/// Who decides about viewers, and which license systems there are.
pub struct Licensing {
    entitlements: Entitlements,
    systems: LicenseSystems,
}

impl Licensing {
    /// As configured. What is wrong with it is found before anything is opened.
    ///
    /// # Errors
    /// When a file that is named cannot be used.
    pub fn prepare(config: &Config, metrics: &Arc<Metrics>) -> Result<Self, Failure> {
        let outgoing = Outgoing::new(OutgoingLimits::default(), config.license.ca_file.as_deref());
        let outgoing = outgoing.map_err(Failure::usage)?;
        let entitlements = entitlements(config, outgoing.clone(), metrics.clone())?;
        let clear_key_accounts = config.license.clear_key_accounts.clone();
        let systems = LicenseSystems::new(clear_key_accounts, &config.license_servers, &outgoing, metrics);
        Ok(Self { entitlements, systems: systems.map_err(Failure::usage)? })
    }
}

/// What the handlers work with. Runs nothing but the DRM actor.
///
/// # Errors
/// When a file that the configuration names cannot be used.
pub fn assemble_api(
    config: &Config,
    licensing: Licensing,
    cluster: &Cluster,
    keyring: &Arc<Keyring>,
    metrics: Arc<Metrics>,
) -> Result<Api, Failure> {
    let drm = DrmActor::start_on(
        &Arbiter::new().handle(),
        Registry::standard(),
        config.limits.provider_mailbox,
        metrics.mailbox_full_total.with_label_values(&["provider"]),
    );
    let refused = ["requests", "new_keys"]
        .map(|limit| metrics.account_limit_refusals_total.with_label_values(&[limit]));
    let limits = Arc::new(AccountLimits::new(&config.account_limits(), refused));
    let keys =
        Keys::new(cluster.clone(), keyring.clone()).with_limits(limits.clone()).with_metrics(metrics.clone());
    keys.take_up_late_notes().map_err(Failure::runtime)?;
    let policies = Policies::new(cluster.clone());
    let licenses = Licenses::new(LicenseParts {
        keys: keys.clone(),
        policies: policies.clone(),
        leases: Leases::new(cluster.clone(), metrics.clone()),
        entitlements: licensing.entitlements,
        systems: licensing.systems,
        metrics: metrics.clone(),
    });
    let drain = Drain::new(metrics.http_requests_in_flight.clone());
    let readiness = Readiness::new(cluster.clone(), keyring.clone());
    let grants_for = Duration::from_secs(config.auth.cut_off_grants_s);
    let contact = Arc::new(QuorumContact::new(cluster.clone(), grants_for, metrics.clone()));
    let metrics_token = super::metrics_token(config)?;
    let unproved_bodies = BodyRoom::new(
        // One body of the largest size fits in, also where that is configured larger.
        config.http.unproved_body_bytes_max.max(config.http.max_bulk_body_bytes),
        metrics.http_unproved_body_bytes.clone(),
    );
    Ok(Api {
        licenses,
        readiness,
        drain,
        license_url: config.license.url.clone(),
        allowed_origins: config.license.allowed_origins.as_slice().into(),
        keys,
        policies,
        accounts: Arc::new(Accounts::new(cluster.clone(), keyring.clone(), cluster.credential_uses())),
        contact,
        back_off: Arc::new(back_off(config)?),
        limits,
        nonces: Arc::new(Nonces::new(cluster.clone())),
        server_keys: Arc::new(OnceLock::new()),
        drm,
        metrics,
        audit: cluster.events().clone(),
        strangers: Arc::default(),
        body_bytes_max: config.http.max_body_bytes,
        bulk_body_bytes_max: config.http.max_bulk_body_bytes,
        unproved_bodies,
        metrics_access: config.http.metrics,
        metrics_token,
        timeouts: ClientTimeouts::new(&config.http),
        trusted_proxies: config.http.trusted_proxies.as_slice().into(),
        loopback_passwords: config.http.loopback_passwords,
        authorities: Arc::new(Authorities::new(
            &config.auth.authorities,
            &config.http.tls_names,
            config.http.listen,
        )),
        signature_window: SignatureWindow {
            lifetime_s: config.auth.signature_lifetime_s,
            clock_skew_s: config.auth.clock_skew_s,
        },
        client_certificates: config.http.tls_client_ca_file.is_some(),
    })
}

/// Holds up whoever shows wrong credentials again and again.
fn back_off(config: &Config) -> Result<BackOff, Failure> {
    let settings = BackOffSettings {
        wrong_max: config.auth.wrong_credentials_max,
        wait_max: Duration::from_secs(config.auth.back_off_max_s),
    };
    Ok(BackOff::new(settings, random_bytes().map_err(Failure::runtime)?))
}

/// Whoever decides about viewers; nobody, and so no license, without a file that names them.
fn entitlements(config: &Config, outgoing: Outgoing, metrics: Arc<Metrics>) -> Result<Entitlements, Failure> {
    let entries = match &config.license.entitlements_file {
        Some(file) => load_entitlements(file).map_err(Failure::usage)?,
        None => Vec::new(),
    };
    Entitlements::new(&entries, outgoing, metrics).map_err(Failure::usage)
}
