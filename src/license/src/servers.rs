//! The license servers of a node, as its configuration names them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::fairplay::FairPlayServers;
use super::outgoing::Outgoing;
use super::playready::PlayReadyServers;
use super::signed_question::QuestionSigner;
use super::upstream::{BreakerSettings, Upstream, UpstreamSettings};
use super::widevine::WidevineServers;
use crate::settings::{LicenseServerSettings, ServerUrl};
use keymoot_crypto::secret_file::{self, SecretFileError};
use keymoot_crypto::{AesSigner, SecretBytes};
use keymoot_telemetry::Metrics;

/// Whom licenses are asked of; none: the system's licenses are not served.
#[derive(Default)]
pub struct LicenseServers {
    /// Widevine license services.
    pub widevine: Option<WidevineServers>,
    /// PlayReady license servers.
    pub playready: Option<PlayReadyServers>,
    /// FairPlay key security modules.
    pub fairplay: Option<FairPlayServers>,
}

/// Why the license servers cannot be put to use.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// A signing key could not be read.
    #[error("{key} cannot be used")]
    Key {
        /// The key of the configuration.
        key: &'static str,
        /// Why.
        source: SecretFileError,
    },
    /// The file holds no AES signer.
    #[error(
        "license_servers.widevine_signing_key_file must hold 64 and 32 hexadecimal digits with a colon between"
    )]
    AesSigner,
}

impl LicenseServers {
    /// The servers that the configuration names.
    ///
    /// # Errors
    /// [`ServersError`], naming the key at fault.
    pub fn new(
        config: &LicenseServerSettings,
        outgoing: &Outgoing,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ServersError> {
        let upstream = |system: &'static str, urls: &[ServerUrl]| {
            (!urls.is_empty())
                .then(|| Upstream::new(system, urls, settings(config), outgoing.clone(), metrics.clone()))
        };
        let widevine_signer = widevine_signer(config)?;
        let provider = config.widevine_provider.clone();
        let playready_signer = question_signer(
            "license_servers.playready_signing_key_file",
            config.playready_signing_key_file.as_deref(),
        )?;
        let fairplay_signer = question_signer(
            "license_servers.fairplay_signing_key_file",
            config.fairplay_signing_key_file.as_deref(),
        )?;
        Ok(Self {
            widevine: upstream("widevine", &config.widevine_urls)
                .map(|servers| WidevineServers::new(servers, provider, widevine_signer)),
            playready: upstream("playready", &config.playready_urls)
                .map(|servers| PlayReadyServers::new(servers, playready_signer)),
            fairplay: upstream("fairplay", &config.fairplay_urls)
                .map(|servers| FairPlayServers::new(servers, fairplay_signer)),
        })
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

fn question_signer(key: &'static str, file: Option<&Path>) -> Result<Option<QuestionSigner>, ServersError> {
    file.map(|file| Ok(QuestionSigner::new(&read(key, file)?))).transpose()
}

fn read(key: &'static str, file: &Path) -> Result<SecretBytes, ServersError> {
    secret_file::read_signing_key(file).map_err(|source| ServersError::Key { key, source })
}
