//! Licenses (uDRM 2.3.4): who is entitled to what, on which terms, with which keys, from which
//! back end.
//!
//! All that is decided here rests on the signed custom data of an admitted request. The challenge,
//! which nobody signed, only picks among the keys of the content that was signed for.

mod error;
mod wanted;

use std::sync::Arc;

use zeroize::Zeroizing;

use keymoot_audit::{Action, Change, DrmUse, Verdict};
use keymoot_auth::Grant;
use keymoot_cluster::Cluster;
use keymoot_license::entitlement::{Entitled, Entitlements, Viewer};
use keymoot_license::terms::clear_key;
use keymoot_license::{
    Challenge, LicenseProvider, LicenseSystem, LicenseSystems, LicenseTerms, LicensedKey, PolicyRefusal,
    WantedKeys,
};
use keymoot_model::{AccountId, Consistency, Policy, PolicyName, TrackName};
use keymoot_protocol::{CustomData, ServerKeys};
use keymoot_telemetry::Metrics;

use super::error::ServiceError;
use super::keys::Keys;
use super::leases::{Leases, Viewing};
use super::policies::Policies;
use super::replicated_state::ReplicatedState;
use wanted::FoundKey;

pub use error::LicenseError;

/// The name of the policy that holds where there is none: plain streaming.
const NO_POLICY: &str = "none";
/// The system of keys that come without a license, in the audit.
const HLS_AES_128: &str = "hls-aes-128";

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
    pub content_type: &'static str,
}

/// What licenses are made of, and who decides about them.
pub struct LicenseParts<R = Cluster> {
    pub keys: Keys<R>,
    pub policies: Policies<R>,
    /// Rentals, and slots of devices.
    pub leases: Leases<R>,
    /// Who is entitled to what.
    pub entitlements: Entitlements,
    /// The DRM systems whose licenses are served.
    pub systems: LicenseSystems,
    pub metrics: Arc<Metrics>,
}

/// The use cases around licenses. Cloning shares them.
#[derive(Clone)]
pub struct Licenses<R = Cluster>(Arc<LicenseParts<R>>);

impl<R: ReplicatedState> Licenses<R> {
    pub fn new(parts: LicenseParts<R>) -> Self {
        Self(Arc::new(parts))
    }

    /// The providers whose licenses are served, Clear Key if only for some accounts.
    pub fn providers(&self) -> Vec<LicenseProvider> {
        self.0.systems.providers()
    }

    /// Whether licenses for a provider's players of this account's contents are served.
    pub fn serves(&self, provider: LicenseProvider, account: &AccountId) -> bool {
        self.0.systems.serving(provider, account).is_ok()
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
        self.name_viewer(HLS_AES_128, request)?;
        let entitled = self.0.entitlements.decide(viewer(request)).await?;
        self.0.keys.make_fresh(request.grant).await?;
        let policy = self.policy(request, entitled).await?;
        clear_key::permit(&policy, track).map_err(PolicyRefusal::from)?;
        self.0.leases.admit(viewing(request), policy).await?;
        Ok(())
    }

    async fn license(
        &self,
        provider: LicenseProvider,
        request: LicenseRequest<'_>,
    ) -> Result<License, LicenseError> {
        self.name_viewer(provider.label(), request)?;
        let system = self.0.systems.serving(provider, &request.grant.account().id)?;
        let challenge = system.read(request.challenge);
        let licensed = |body| License { body, content_type: provider.license_type() };
        if let Ok(challenge @ Challenge { wants: WantedKeys::Certificate, .. }) = &challenge {
            return Ok(licensed(make(system, request, challenge, &[], &plain_streaming()?).await?));
        }
        let entitled = self.0.entitlements.decide(viewer(request)).await?;
        // Once for keys and policy.
        self.0.keys.make_fresh(request.grant).await?;
        let challenge = challenge?;
        if challenge.wants == WantedKeys::Nothing {
            request.grant.trail().asks_for(Action::LICENSE_RENEW);
        }
        let keys = self.wanted(request, &challenge.wants).await?;
        let policy = self.policy(request, entitled).await?;
        must_be_permitted(system, &challenge, &keys, &policy)?;
        // Last before a license is made: what was refused for another reason holds no slot.
        let policy = self.0.leases.admit(viewing(request), policy).await?;
        Ok(licensed(make(system, request, &challenge, &keys, &policy).await?))
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
            Some(policy) => {
                request.grant.trail().policy(&policy.name);
                policy
            }
            None => plain_streaming()?,
        };
        let Entitled { license_duration_s, rental_duration_s, playback_duration_s, .. } = entitled;
        Ok(policy.limited_to(license_duration_s, rental_duration_s, playback_duration_s))
    }

    /// Says on the trail whose license it is, by digests.
    fn name_viewer(&self, system: &str, request: LicenseRequest<'_>) -> Result<(), ServiceError> {
        let LicenseRequest { grant, custom_data, .. } = request;
        let account = grant.account().id.as_str();
        let digests = self.0.keys.server_keys()?.map(ServerKeys::viewer_digests);
        let user = custom_data.user_id().or(custom_data.user_token());
        grant.trail().drm(DrmUse {
            system: system.to_owned(),
            viewer: digests.zip(user).map(|(digests, user)| digests.viewer(account, user)),
            device: digests.zip(custom_data.udid()).map(|(digests, udid)| digests.device(account, udid)),
        });
        Ok(())
    }

    async fn named_policy(&self, grant: &Grant, name: &PolicyName) -> Result<Policy, LicenseError> {
        let account = grant.account();
        match self.0.policies.named(account, name, Consistency::Local).await {
            Ok(record) => Ok(record.policy),
            Err(ServiceError::UnknownPolicy { name }) => Err(LicenseError::NoPolicy { name }),
            Err(error) => Err(error.into()),
        }
    }
}

/// What holds where no policy does.
fn plain_streaming() -> Result<Policy, LicenseError> {
    Ok(Policy::streaming(PolicyName::new(NO_POLICY).map_err(LicenseError::Name)?))
}

/// Refuses what the policy does not let this system have.
fn must_be_permitted(
    system: &dyn LicenseSystem,
    challenge: &Challenge<'_>,
    keys: &[FoundKey],
    policy: &Policy,
) -> Result<(), LicenseError> {
    // Asked of systems alone whose players keep what the license says nothing about.
    if challenge.is_persistent && !policy.can_persist {
        return Err(LicenseError::NotPersistent);
    }
    Ok(keys.iter().try_for_each(|key| system.permits(policy, key.track()))?)
}

async fn make(
    system: &dyn LicenseSystem,
    LicenseRequest { grant, custom_data, .. }: LicenseRequest<'_>,
    challenge: &Challenge<'_>,
    keys: &[FoundKey],
    policy: &Policy,
) -> Result<Zeroizing<Vec<u8>>, LicenseError> {
    let (account, content) = (&grant.account().id, custom_data.content_id());
    let named = keys.iter().map(|key| key.name(content)).collect();
    let change = Change { action: Action::LICENSE_ISSUE, keys: named, policy: None, object: None };
    // The system's server gets the keys before the player does, so they are named before it is asked.
    let intents = match keys {
        [] => None,
        _ => Some(grant.trail().intend(vec![change]).await.map_err(ServiceError::from)?),
    };
    let licensed: Vec<LicensedKey<'_>> = keys.iter().map(FoundKey::licensed).collect();
    let terms = LicenseTerms { account, content, keys: &licensed, policy };
    let license = system.license(challenge, terms).await;
    if let Some(intents) = intents {
        let verdict = match &license {
            Ok(_) => Verdict::DONE,
            Err(error) => Verdict::failed(error.to_string()),
        };
        grant.trail().answered(&intents, None, &[verdict]);
    }
    let license = license?;
    keys.iter().for_each(|key| grant.trail().hand_out(Action::LICENSE_ISSUE, key.name(content)));
    Ok(license)
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
        grant,
        content: custom_data.content_id(),
        user: custom_data.user_id().or(custom_data.user_token()),
        udid: custom_data.udid(),
    }
}
