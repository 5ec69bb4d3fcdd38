//! The license servers, in one list per DRM system.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use keymoot_model::empty_is_none;

use keymoot_outgoing::ServerUrl;

/// The license servers, and the limits of requests to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenseServerSettings {
    /// The time limit for one server's response.
    pub timeout_ms: u64,
    /// The time limit for all servers together.
    pub deadline_ms: u64,
    /// The most requests that are under way at once to one system's servers.
    pub requests_max: usize,
    /// Failures in a row after which a server is skipped.
    pub failures_max: u32,
    /// For how long it is skipped.
    pub rest_ms: u64,
    /// Widevine license servers, in the order in which they are asked.
    pub widevine_urls: Vec<ServerUrl>,
    /// The provider name under which Widevine servers know this cluster.
    pub widevine_provider: String,
    /// The signer's name in the requests to Widevine servers.
    pub widevine_signer: String,
    /// The secret file with the signer's AES key and IV.
    #[serde(with = "empty_is_none")]
    pub widevine_signing_key_file: Option<PathBuf>,
    /// PlayReady license servers, in the order in which they are asked.
    pub playready_urls: Vec<ServerUrl>,
    /// The secret file with the key that signs the requests to PlayReady servers.
    #[serde(with = "empty_is_none")]
    pub playready_signing_key_file: Option<PathBuf>,
    /// FairPlay key security modules, in the order in which they are asked.
    pub fairplay_urls: Vec<ServerUrl>,
    /// The secret file with the key that signs the requests to FairPlay modules.
    #[serde(with = "empty_is_none")]
    pub fairplay_signing_key_file: Option<PathBuf>,
}

impl Default for LicenseServerSettings {
    fn default() -> Self {
        Self {
            timeout_ms: 2_000,
            deadline_ms: 6_000,
            requests_max: 256,
            failures_max: 5,
            rest_ms: 5_000,
            widevine_urls: Vec::new(),
            widevine_provider: String::new(),
            widevine_signer: String::new(),
            widevine_signing_key_file: None,
            playready_urls: Vec::new(),
            playready_signing_key_file: None,
            fairplay_urls: Vec::new(),
            fairplay_signing_key_file: None,
        }
    }
}

impl LicenseServerSettings {
    /// The secret files that the configuration names, each with its configuration key.
    pub fn secret_files_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        [
            ("license_servers.widevine_signing_key_file", self.widevine_signing_key_file.as_mut()),
            ("license_servers.playready_signing_key_file", self.playready_signing_key_file.as_mut()),
            ("license_servers.fairplay_signing_key_file", self.fairplay_signing_key_file.as_mut()),
        ]
        .into_iter()
        .filter_map(|(key, path)| Some((key, path?)))
    }

    /// Whether the configuration names any license server.
    pub fn names_any(&self) -> bool {
        [&self.widevine_urls, &self.playready_urls, &self.fairplay_urls].iter().any(|urls| !urls.is_empty())
    }

    /// The invalid configuration keys, each with what is wrong and what would be right.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut fault = |key, problem: &str| found.push((key, problem.to_owned()));
        let in_use = !self.widevine_urls.is_empty();
        if in_use && self.widevine_provider.is_empty() {
            fault("license_servers.widevine_provider", "must be set when license_servers.widevine_urls is");
        }
        match (self.widevine_signer.is_empty(), &self.widevine_signing_key_file) {
            (true, Some(_)) => fault(
                "license_servers.widevine_signer",
                "must be set when license_servers.widevine_signing_key_file is",
            ),
            (false, None) => fault(
                "license_servers.widevine_signing_key_file",
                "must be set when license_servers.widevine_signer is",
            ),
            _ => {}
        }
        if self.deadline_ms < self.timeout_ms {
            fault("license_servers.deadline_ms", "must be at least license_servers.timeout_ms");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_together_is_set_together() {
        let faults = |change: fn(&mut LicenseServerSettings)| {
            let mut servers = LicenseServerSettings::default();
            change(&mut servers);
            servers.problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(faults(|_| ()), [""; 0]);
        let with_url = |servers: &mut LicenseServerSettings| {
            servers.widevine_urls = vec![ServerUrl::try_from("https://license.example/".to_owned()).unwrap()];
        };
        assert_eq!(faults(with_url), ["license_servers.widevine_provider"]);
        assert_eq!(faults(|s| s.widevine_signer = "a".into()), ["license_servers.widevine_signing_key_file"]);
        assert_eq!(
            faults(|s| s.widevine_signing_key_file = Some("a".into())),
            ["license_servers.widevine_signer"]
        );
        assert_eq!(faults(|s| s.deadline_ms = 1), ["license_servers.deadline_ms"]);
    }
}
