//! Licenses (uDRM 2.3.4): who is entitled to what, on which terms, with which keys, from which
//! back end.
//!
//! All that is decided here rests on the signed custom data of an admitted request. The challenge,
//! which nobody signed, only picks among the keys of the content that was signed for.

mod error;

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::auth::{CustomData, Grant};
use crate::license::LicenseProvider;
use crate::license::clear_key::{self, ClearKeyRequest, SessionType};
use crate::license::entitlement::{Entitlements, Viewer};
use crate::model::AccountId;
use crate::telemetry::Metrics;

use super::keys::Keys;

pub use error::LicenseError;

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

/// The use cases around licenses.
#[derive(Clone)]
pub struct Licenses {
    keys: Keys,
    entitlements: Arc<Entitlements>,
    clear_key_accounts: Arc<[AccountId]>,
    metrics: Arc<Metrics>,
}

impl Licenses {
    /// Over these keys, for viewers that these entitlements let pass; Clear Key is served for these
    /// accounts only.
    pub fn new(
        keys: Keys,
        entitlements: Arc<Entitlements>,
        clear_key_accounts: Arc<[AccountId]>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { keys, entitlements, clear_key_accounts, metrics }
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
        self.metrics.licenses_total.with_label_values(&[provider.label(), outcome]).inc();
        license
    }

    async fn license(
        &self,
        provider: LicenseProvider,
        request: LicenseRequest<'_>,
    ) -> Result<License, LicenseError> {
        self.entitlements.decide(viewer(request)).await?;
        match provider {
            LicenseProvider::ClearKey => self.clear_key(request).await,
            other => Err(LicenseError::NoBackEnd { system: other.label() }),
        }
    }

    async fn clear_key(&self, request: LicenseRequest<'_>) -> Result<License, LicenseError> {
        let LicenseRequest { grant, custom_data, challenge } = request;
        if !self.clear_key_accounts.contains(&grant.account().id) {
            return Err(LicenseError::NoClearKey);
        }
        let asked = ClearKeyRequest::parse(challenge)?;
        if asked.session == SessionType::Persistent {
            return Err(LicenseError::NotPersistent);
        }
        let keys = self.keys.of_content(grant, custom_data.content_id(), &asked.kids).await?;
        if keys.is_empty() {
            return Err(LicenseError::NoKey);
        }
        let pairs = keys.iter().map(|key| (&key.kid, &key.key));
        let body = clear_key::license(pairs, asked.session).map_err(LicenseError::Writing)?;
        Ok(License { body, content_type: "application/json" })
    }
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
