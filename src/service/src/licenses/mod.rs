//! Licenses (uDRM 2.3.4): who is entitled to what, on which terms, with which keys, from which
//! back end.
//!
//! All that is decided here rests on the signed custom data of an admitted request. The challenge,
//! which nobody signed, only picks among the keys of the content that was signed for.

mod error;
mod prepared;

use std::sync::Arc;

use zeroize::Zeroizing;

use keymoot_auth::Grant;
use keymoot_cluster::Cluster;
use keymoot_license::entitlement::{Entitled, Entitlements, Viewer};
use keymoot_license::{LicenseProvider, LicenseServers, LicenseTerms, LicensedKey, clear_key};
use keymoot_model::{AccountId, Consistency, Policy, PolicyName, TrackName};
use keymoot_protocol::CustomData;
use keymoot_telemetry::Metrics;

use super::error::ServiceError;
use super::keys::Keys;
use super::leases::{Leases, Viewing};
use super::policies::Policies;
use super::replicated_state::ReplicatedState;
use prepared::{FoundKey, Prepared};

pub use error::LicenseError;

/// The name of the policy that holds where there is none: plain streaming.
const NO_POLICY: &str = "none";

/// What a player asks for, admitted.
#[derive(Clone, Copy)]
pub struct LicenseRequest<'r> {
    /// What it was granted.
    pub grant: &'r Grant,
    /// What was signed.
    pub custom_data: &'r CustomData,
    /// The DRM system's own request, as it came; signed by nobody.
    pub challenge: &'r [u8],
}

/// A license, in the form of its DRM system.
#[derive(Debug)]
pub struct License {
    /// The bytes for the player. Some systems' hold keys in the clear.
    pub body: Zeroizing<Vec<u8>>,
    /// Their media type.
    pub content_type: &'static str,
}

/// What licenses are made of, and who decides about them.
pub struct LicenseParts<R = Cluster> {
    /// Keys.
    pub keys: Keys<R>,
    /// Policies.
    pub policies: Policies<R>,
    /// Rentals, and slots of devices.
    pub leases: Leases<R>,
    /// Who is entitled to what.
    pub entitlements: Entitlements,
    /// The servers that licenses are asked of.
    pub servers: LicenseServers,
    /// The accounts whose content may be licensed by Clear Key.
    pub clear_key_accounts: Vec<AccountId>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
}

/// The use cases around licenses. Cloning shares them.
#[derive(Clone)]
pub struct Licenses<R = Cluster>(Arc<LicenseParts<R>>);

impl<R: ReplicatedState> Licenses<R> {
    /// Of these parts.
    pub fn new(parts: LicenseParts<R>) -> Self {
        Self(Arc::new(parts))
    }

    /// The providers whose licenses are served, Clear Key if only for some accounts.
    pub fn providers(&self) -> Vec<LicenseProvider> {
        let LicenseParts { servers, clear_key_accounts, .. } = &*self.0;
        let is_served = |provider: &LicenseProvider| match provider {
            LicenseProvider::ClearKey => !clear_key_accounts.is_empty(),
            LicenseProvider::CencWidevine => servers.widevine.is_some(),
            LicenseProvider::CencPlayReady | LicenseProvider::PlayReady => servers.playready.is_some(),
            LicenseProvider::FairPlay => servers.fairplay.is_some(),
            LicenseProvider::WidevineClassic => false,
        };
        LicenseProvider::ALL.into_iter().filter(is_served).collect()
    }

    /// Makes a license, or says why not.
    ///
    /// # Errors
    /// [`LicenseError`]; nothing is handed out then.
    pub async fn issue(
        &self,
        provider: LicenseProvider,
        request: LicenseRequest<'_>,
    ) -> Result<License, LicenseError> {
        let license = self.license(provider, request).await;
        let outcome = license.as_ref().map_or_else(LicenseError::outcome, |_| "issued");
        self.0.metrics.licenses_total.with_label_values(&[provider.label(), outcome]).inc();
        license
    }

    /// Whether a player may have a key of this track that comes without a license, as HLS AES-128's do:
    /// entitled as for a license, and under a policy that demands no more than clear keys can hold.
    ///
    /// # Errors
    /// [`LicenseError`] says why it may not.
    pub async fn permit(&self, request: LicenseRequest<'_>, track: &TrackName) -> Result<(), LicenseError> {
        let entitled = self.0.entitlements.decide(viewer(request)).await?;
        self.0.keys.make_fresh(request.grant).await?;
        let policy = self.policy(request, entitled).await?;
        prepared::permitted(&policy, track)?;
        self.0.leases.admit(viewing(request), policy).await?;
        Ok(())
    }

    async fn license(
        &self,
        provider: LicenseProvider,
        request: LicenseRequest<'_>,
    ) -> Result<License, LicenseError> {
        self.must_be_served(provider, request.grant)?;
        if let Some(certificate) = self.service_certificate(provider, request.challenge).await? {
            return Ok(certificate);
        }
        let entitled = self.0.entitlements.decide(viewer(request)).await?;
        // Once for keys and policy.
        self.0.keys.make_fresh(request.grant).await?;
        let prepared = self.prepare(provider, request).await?;
        let policy = self.policy(request, entitled).await?;
        prepared.must_be_permitted(&policy)?;
        // Last before a license is made: what was refused for another reason holds no slot.
        let policy = self.0.leases.admit(viewing(request), policy).await?;
        self.make(request, &prepared, &policy).await
    }

    /// Refuses at once what could never be served, whoever asks.
    fn must_be_served(&self, provider: LicenseProvider, grant: &Grant) -> Result<(), LicenseError> {
        match provider {
            LicenseProvider::ClearKey if !self.0.clear_key_accounts.contains(&grant.account().id) => {
                Err(LicenseError::NoClearKey)
            }
            LicenseProvider::WidevineClassic => Err(LicenseError::NoClassic),
            provider if self.providers().contains(&provider) => Ok(()),
            provider => Err(LicenseError::NoBackEnd { system: provider.label() }),
        }
    }

    /// The terms of the license: the policy that the entitlement names, else the content's, with no
    /// duration longer than the entitlement's.
    async fn policy(&self, request: LicenseRequest<'_>, entitled: Entitled) -> Result<Policy, LicenseError> {
        let account = request.grant.account();
        let policy = match &entitled.policy {
            Some(name) => Some(self.named_policy(request.grant, name).await?),
            None => {
                let content = request.custom_data.content_id();
                self.0.policies.of_content(account, content)?
            }
        };
        let policy = match policy {
            Some(policy) => policy,
            None => Policy::streaming(PolicyName::new(NO_POLICY).map_err(LicenseError::Name)?),
        };
        let Entitled { license_duration_s, rental_duration_s, playback_duration_s, .. } = entitled;
        Ok(policy.within(license_duration_s, rental_duration_s, playback_duration_s))
    }

    async fn named_policy(&self, grant: &Grant, name: &PolicyName) -> Result<Policy, LicenseError> {
        let account = grant.account();
        match self.0.policies.named(account, name, Consistency::Local).await {
            Ok(record) => Ok(record.policy),
            Err(ServiceError::UnknownPolicy { name }) => Err(LicenseError::NoPolicy { name }),
            Err(error) => Err(error.into()),
        }
    }

    async fn make(
        &self,
        request: LicenseRequest<'_>,
        prepared: &Prepared,
        policy: &Policy,
    ) -> Result<License, LicenseError> {
        let LicenseRequest { grant, custom_data, challenge } = request;
        let found = prepared.keys();
        let keys: Vec<LicensedKey<'_>> = found.iter().map(FoundKey::licensed).collect();
        let terms = LicenseTerms {
            account: &grant.account().id,
            content: custom_data.content_id(),
            keys: &keys,
            policy,
        };
        let servers = &self.0.servers;
        let (body, content_type) = match prepared {
            Prepared::ClearKey { session, .. } => {
                let pairs = keys.iter().map(|key| (key.kid, key.key));
                let body = clear_key::license(pairs, *session).map_err(LicenseError::Writing)?;
                (body, "application/json")
            }
            Prepared::Widevine { .. } => {
                let servers = servers.widevine.as_ref().ok_or(no_back_end("widevine"))?;
                (servers.license(challenge, terms).await?, OCTETS)
            }
            Prepared::PlayReady { .. } => {
                let servers = servers.playready.as_ref().ok_or(no_back_end("playready"))?;
                (servers.license(challenge, terms).await?, "text/xml; charset=utf-8")
            }
            Prepared::FairPlay { spc, .. } => {
                let servers = servers.fairplay.as_ref().ok_or(no_back_end("fairplay"))?;
                let key = keys.first().ok_or(LicenseError::NoKey)?;
                (servers.license(spc, key, policy).await?, "application/json")
            }
        };
        Ok(License { body, content_type })
    }

    /// The certificate that Widevine clients encrypt their identity with, if that is what is asked
    /// for. It is nobody's secret and says nothing about any content.
    async fn service_certificate(
        &self,
        provider: LicenseProvider,
        challenge: &[u8],
    ) -> Result<Option<License>, LicenseError> {
        match (&self.0.servers.widevine, provider) {
            (Some(servers), LicenseProvider::CencWidevine) if prepared::wants_certificate(challenge) => {
                let body = servers.service_certificate(challenge).await?;
                Ok(Some(License { body, content_type: OCTETS }))
            }
            _ => Ok(None),
        }
    }
}

const OCTETS: &str = "application/octet-stream";

fn no_back_end(system: &'static str) -> LicenseError {
    LicenseError::NoBackEnd { system }
}

/// Who asks, in the words that were signed.
fn viewer(request: LicenseRequest<'_>) -> Viewer<'_> {
    let LicenseRequest { grant, custom_data, .. } = request;
    Viewer {
        account: grant.account(),
        content: custom_data.content_id(),
        ca_system: custom_data.ca_system(),
        user_token: custom_data.user_token(),
        udid: custom_data.udid(),
        files: custom_data.files(),
        additional_cas_system: custom_data.additional_cas_system(),
        client: grant.caller(),
    }
}

/// Who wants to play on which device, in the words that were signed.
fn viewing(request: LicenseRequest<'_>) -> Viewing<'_> {
    let LicenseRequest { grant, custom_data, .. } = request;
    Viewing {
        account: grant.account(),
        content: custom_data.content_id(),
        user: custom_data.user_id().or(custom_data.user_token()),
        udid: custom_data.udid(),
    }
}
