//! The servers that licenses are asked of, one list for each DRM system.

mod server_url;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use keymoot_model::empty_is_none;

pub use server_url::{ServerUrl, ServerUrlError};

/// The servers that licenses are asked of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenseServerSettings {
    /// How long one server may take to answer.
    pub timeout_ms: u64,
    /// How long all servers together may take.
    pub deadline_ms: u64,
    /// The most requests to one system's servers at once.
    pub requests_max: usize,
    /// Failures in a row after which a server is skipped.
    pub failures_max: u32,
    /// For how long it is skipped.
    pub rest_ms: u64,
    /// Widevine license servers, in the order in which they are asked.
    pub widevine_urls: Vec<ServerUrl>,
    /// What they know us as.
    pub widevine_provider: String,
    /// Who signs the requests to them.
    pub widevine_signer: String,
    /// Its AES key and IV; a secret file.
    #[serde(with = "empty_is_none")]
    pub widevine_signing_key_file: Option<PathBuf>,
    /// PlayReady license servers, in the order in which they are asked.
    pub playready_urls: Vec<ServerUrl>,
    /// Signs the requests to them; a secret file.
    #[serde(with = "empty_is_none")]
    pub playready_signing_key_file: Option<PathBuf>,
    /// FairPlay key security modules, in the order in which they are asked.
    pub fairplay_urls: Vec<ServerUrl>,
    /// Signs the requests to them; a secret file.
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
    /// The secret files that are named, each with its key in the configuration.
    pub fn secret_files_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        [
            ("license_servers.widevine_signing_key_file", self.widevine_signing_key_file.as_mut()),
            ("license_servers.playready_signing_key_file", self.playready_signing_key_file.as_mut()),
            ("license_servers.fairplay_signing_key_file", self.fairplay_signing_key_file.as_mut()),
        ]
        .into_iter()
        .filter_map(|(key, path)| Some((key, path?)))
    }

    /// Whether a license server is named at all.
    pub fn names_any(&self) -> bool {
        [&self.widevine_urls, &self.playready_urls, &self.fairplay_urls].iter().any(|urls| !urls.is_empty())
    }

    /// The keys at fault, each with what is wrong and what would be right.
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
