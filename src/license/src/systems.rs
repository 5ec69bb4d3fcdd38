//! The DRM systems that a node licenses, from its configuration.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::clear_key::ClearKey;
use super::fairplay::FairPlayServers;
use super::playready::PlayReadyServers;
use super::provider::LicenseProvider;
use super::request_signer::RequestSigner;
use super::system::{LicenseSystem, NotServed};
use super::upstream::{BreakerSettings, Upstream, UpstreamSettings};
use super::widevine::WidevineServers;
use crate::settings::LicenseServerSettings;
use keymoot_crypto::secret_file::{self, SecretFileError};
use keymoot_crypto::{AesSigner, SecretBytes};
use keymoot_model::AccountId;
use keymoot_outgoing::Outgoing;
use keymoot_outgoing::ServerUrl;
use keymoot_telemetry::Metrics;

/// The DRM systems whose licenses are served.
pub struct LicenseSystems {
    /// Keyed by [`LicenseProvider::label`].
    by_label: HashMap<&'static str, Box<dyn LicenseSystem>>,
}

/// Why the license servers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// A signing key could not be read.
    #[error("{key} cannot be used")]
    Key {
        /// The configuration key of the file.
        key: &'static str,
        source: SecretFileError,
    },
    /// The file holds no AES signer.
    #[error(
        "license_servers.widevine_signing_key_file must hold 64 and 32 hexadecimal digits with a colon between"
    )]
    AesSigner,
}

impl LicenseSystems {
    /// Clear Key for these accounts, and the systems whose license servers are configured.
    ///
    /// # Errors
    /// [`ServersError`], with the configuration key, when a signing key cannot be used.
    pub fn new(
        clear_key_accounts: Vec<AccountId>,
        config: &LicenseServerSettings,
        outgoing: &Outgoing,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ServersError> {
        let [clear_key, widevine, playready, fairplay] = [
            LicenseProvider::ClearKey,
            LicenseProvider::CencWidevine,
            LicenseProvider::PlayReady,
            LicenseProvider::FairPlay,
        ]
        .map(LicenseProvider::label);
        let upstream = |label: &'static str, urls: &[ServerUrl]| {
            (!urls.is_empty())
                .then(|| Upstream::new(label, urls, settings(config), outgoing.clone(), metrics.clone()))
        };
        let widevine_signer = widevine_signer(config)?;
        let provider = config.widevine_provider.clone();
        let playready_signer = request_signer_of(
            "license_servers.playready_signing_key_file",
            config.playready_signing_key_file.as_deref(),
        )?;
        let fairplay_signer = request_signer_of(
            "license_servers.fairplay_signing_key_file",
            config.fairplay_signing_key_file.as_deref(),
        )?;
        let mut by_label = HashMap::<_, Box<dyn LicenseSystem>>::new();
        if !clear_key_accounts.is_empty() {
            by_label.insert(clear_key, Box::new(ClearKey::new(clear_key_accounts)));
        }
        if let Some(servers) = upstream(widevine, &config.widevine_urls) {
            by_label.insert(widevine, Box::new(WidevineServers::new(servers, provider, widevine_signer)));
        }
        if let Some(servers) = upstream(playready, &config.playready_urls) {
            by_label.insert(playready, Box::new(PlayReadyServers::new(servers, playready_signer)));
        }
        if let Some(servers) = upstream(fairplay, &config.fairplay_urls) {
            by_label.insert(fairplay, Box::new(FairPlayServers::new(servers, fairplay_signer)));
        }
        Ok(Self { by_label })
    }

    /// The providers whose licenses are served. Clear Key is among them even if only some accounts
    /// have it.
    pub fn providers(&self) -> Vec<LicenseProvider> {
        let is_served = |provider: &LicenseProvider| self.by_label.contains_key(provider.label());
        LicenseProvider::ALL.into_iter().filter(is_served).collect()
    }

    /// The system that licenses an account's contents to the players of a provider.
    ///
    /// # Errors
    /// [`NotServed`] says why there is none.
    pub fn serving(
        &self,
        provider: LicenseProvider,
        account: &AccountId,
    ) -> Result<&dyn LicenseSystem, NotServed> {
        let system = self.by_label.get(provider.label()).ok_or_else(|| provider.unserved())?;
        system.serves(account)?;
        Ok(system.as_ref())
    }
}

fn settings(config: &LicenseServerSettings) -> UpstreamSettings {
    let rest = Duration::from_millis(config.rest_ms);
    UpstreamSettings {
        timeout: Duration::from_millis(config.timeout_ms),
        deadline: Duration::from_millis(config.deadline_ms),
        requests_max: config.requests_max,
        breaker: BreakerSettings { failures_max: config.failures_max, rest },
    }
}

fn widevine_signer(config: &LicenseServerSettings) -> Result<Option<(String, AesSigner)>, ServersError> {
    let Some(file) = &config.widevine_signing_key_file else { return Ok(None) };
    let secret = read("license_servers.widevine_signing_key_file", file)?;
    let signer = AesSigner::parse(secret.expose()).ok_or(ServersError::AesSigner)?;
    Ok(Some((config.widevine_signer.clone(), signer)))
}

fn request_signer_of(key: &'static str, file: Option<&Path>) -> Result<Option<RequestSigner>, ServersError> {
    file.map(|file| Ok(RequestSigner::new(&read(key, file)?))).transpose()
}

fn read(key: &'static str, file: &Path) -> Result<SecretBytes, ServersError> {
    secret_file::read_signing_key(file).map_err(|source| ServersError::Key { key, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_outgoing::OutgoingLimits;

    fn systems(clear_key_accounts: &[&AccountId], urls: Vec<ServerUrl>) -> LicenseSystems {
        let outgoing = Outgoing::new(OutgoingLimits::default(), None).unwrap();
        let config = LicenseServerSettings { playready_urls: urls, ..LicenseServerSettings::default() };
        let accounts = clear_key_accounts.iter().map(|id| (*id).clone()).collect();
        LicenseSystems::new(accounts, &config, &outgoing, &Arc::new(Metrics::new().unwrap())).unwrap()
    }

    #[test]
    fn what_is_not_configured_is_not_served_and_the_caller_is_told_why() {
        let (wanting, other) = (AccountId::new("a").unwrap(), AccountId::new("b").unwrap());
        let refusal = |systems: &LicenseSystems, provider, account| {
            systems.serving(provider, account).err().map(|refusal| refusal.to_string())
        };
        let none = systems(&[], Vec::new());
        assert!(none.providers().is_empty());
        for (provider, part) in [
            (LicenseProvider::ClearKey, "license.clear_key_accounts names"),
            (LicenseProvider::CencWidevine, "licenses of widevine are not served: no license server"),
            (LicenseProvider::PlayReady, "licenses of playready are not served: no license server"),
            (LicenseProvider::WidevineClassic, "its license server is not public"),
        ] {
            let refusal = refusal(&none, provider, &wanting).unwrap();
            assert!(refusal.contains(part), "{refusal}");
        }
        let url = ServerUrl::try_from("https://license.example/".to_owned()).unwrap();
        let some = systems(&[&wanting], vec![url]);
        let both = [LicenseProvider::CencPlayReady, LicenseProvider::PlayReady];
        assert_eq!(some.providers(), [&[LicenseProvider::ClearKey][..], &both].concat());
        assert_eq!(refusal(&some, LicenseProvider::ClearKey, &wanting), None);
        assert_eq!(refusal(&some, LicenseProvider::PlayReady, &other), None);
        assert!(
            refusal(&some, LicenseProvider::ClearKey, &other)
                .unwrap()
                .contains("not served for this account")
        );
    }
}
