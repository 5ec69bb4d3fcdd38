//! The entitlements file: who decides, for each account, whether a viewer may have a license.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use keymoot_crypto::secret_file::beside;
use keymoot_crypto::toml_file::{self, TomlFileError};
use keymoot_model::{AccountId, PolicyName};
use keymoot_outgoing::ServerUrl;

/// Why an entitlements file is refused.
#[derive(Debug, thiserror::Error)]
pub enum EntitlementsFileError {
    /// The file could not be read, or is not valid.
    #[error(transparent)]
    File(#[from] TomlFileError),
    /// An entry cannot be used.
    #[error("{}: entitlement {number} (account `{account}`): {problem}", path.display())]
    Entry {
        path: PathBuf,
        /// The number of the entry, from 1.
        number: usize,
        account: AccountId,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

/// How an entitlement is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// Every signed request is entitled; the entry has the terms.
    Static,
    /// The CAS is asked in Keymoot's own JSON protocol.
    Http,
    /// A video platform (OVP) is asked as `drm_drmlicenseaccess.getAccess`.
    Ovp,
    /// An OTT back end is asked with the members of the custom data.
    Ott,
}

/// An entry in the form of the file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntitlementEntry {
    /// The account whose viewers the entry is for.
    pub account: AccountId,
    /// The `ca_system` of the signed custom data, in any letter case. `None` means every one that
    /// has no entry of its own and is no URL.
    pub ca_system: Option<String>,
    /// How the entitlement is decided.
    pub adapter: AdapterKind,
    /// The URL of the back end; not for `static`.
    pub url: Option<ServerUrl>,
    /// A secret file with the bearer token for the back end.
    pub bearer_file: Option<PathBuf>,
    /// How long the back end may take, the wait for a free place included.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// The most requests that are under way at once; more wait.
    #[serde(default = "default_requests_max")]
    pub requests_max: usize,
    /// For how long a positive decision is cached. Refusals are not cached.
    #[serde(default = "default_cache_s")]
    pub cache_s: u64,
    /// `static` only: the policy of every license, in place of the content's own.
    pub policy: Option<PolicyName>,
    /// `static` only: how long each license is valid.
    pub license_duration_s: Option<NonZeroU32>,
    /// `static` only: how long playback may last after it began.
    pub playback_duration_s: Option<NonZeroU32>,
    /// `static` only: how long after the license playback may begin.
    pub rental_duration_s: Option<NonZeroU32>,
}

fn default_timeout_ms() -> u64 {
    2000
}

fn default_requests_max() -> usize {
    256
}

fn default_cache_s() -> u64 {
    5
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default, rename = "entitlement")]
    entries: Vec<EntitlementEntry>,
}

/// Reads an entitlements file. Secret files are not opened yet.
///
/// # Errors
/// [`EntitlementsFileError`], with the file and the line or entry, when it cannot be used.
pub fn load_entitlements(path: &Path) -> Result<Vec<EntitlementEntry>, EntitlementsFileError> {
    let file: FileText = toml_file::read(path, "entitlements file")?;
    let mut seen = BTreeSet::new();
    let mut entries = file.entries;
    for (at, entry) in entries.iter_mut().enumerate() {
        entry.bearer_file = entry.bearer_file.take().map(|secret| beside(path, &secret));
        let who = (entry.account.clone(), entry.ca_system.as_ref().map(|system| system.to_ascii_lowercase()));
        let twice = || Some("its account and ca_system have an entry already".to_owned());
        let problem = if seen.insert(who) { entry.problem() } else { twice() };
        if let Some(problem) = problem {
            let (path, account) = (path.to_owned(), entry.account.clone());
            return Err(EntitlementsFileError::Entry { path, number: at + 1, account, problem });
        }
    }
    Ok(entries)
}

impl EntitlementEntry {
    fn problem(&self) -> Option<String> {
        if !(100..=30_000).contains(&self.timeout_ms) {
            return Some(format!("timeout_ms must be from 100 to 30000, not {}", self.timeout_ms));
        }
        if self.cache_s > 60 {
            return Some(format!("cache_s must be from 0 to 60, not {}", self.cache_s));
        }
        if !(1..=10_000).contains(&self.requests_max) {
            return Some(format!("requests_max must be from 1 to 10000, not {}", self.requests_max));
        }
        self.target_problem().or_else(|| self.system_problem())
    }

    /// A `static` entry has no server, and any other entry has no terms of its own.
    fn target_problem(&self) -> Option<String> {
        let terms = self.policy.is_some()
            || self.license_duration_s.is_some()
            || self.playback_duration_s.is_some()
            || self.rental_duration_s.is_some();
        match (self.adapter, &self.url) {
            (AdapterKind::Static, Some(_)) => Some("adapter `static` asks nobody: remove url".to_owned()),
            (AdapterKind::Static, None) if self.bearer_file.is_some() => {
                Some("adapter `static` asks nobody: remove bearer_file".to_owned())
            }
            (AdapterKind::Static, None) => None,
            (_, None) => Some("url is missing: name the https:// URL that is asked".to_owned()),
            (_, Some(_)) if terms => Some(
                "policy and durations come with the answer; only adapter `static` has its own".to_owned(),
            ),
            (_, Some(_)) => None,
        }
    }

    /// A `ca_system` that is a URL must be equal to `url`, or the client's text would name another
    /// back end than the one that is asked.
    fn system_problem(&self) -> Option<String> {
        let system = self.ca_system.as_deref()?;
        if system.is_empty() {
            return Some("ca_system is empty: leave it out to mean every other".to_owned());
        }
        let other = |url: &ServerUrl| url.as_str() != system;
        let is_url = system.contains("://");
        (is_url && self.url.as_ref().is_none_or(other))
            .then(|| "a ca_system that is a URL must be the same as url".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../config/entitlements.example.toml");

    fn load(text: &str) -> Result<Vec<EntitlementEntry>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("entitlements.toml");
        std::fs::write(&path, text).unwrap();
        load_entitlements(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_that_ships_loads() {
        let entries = load(EXAMPLE).unwrap();
        let kinds: Vec<_> = entries.iter().map(|entry| entry.adapter).collect();
        assert_eq!(kinds, [AdapterKind::Http, AdapterKind::Ovp, AdapterKind::Ott, AdapterKind::Static]);
        assert_eq!((entries[0].timeout_ms, entries[0].requests_max, entries[0].cache_s), (2000, 256, 5));
        assert!(entries[0].bearer_file.as_ref().unwrap().is_absolute());
    }

    #[test]
    fn mistakes_are_named() {
        let entry = |rest: &str| load(&format!("[[entitlement]]\naccount = \"a\"\n{rest}")).unwrap_err();
        let asked = "adapter = \"http\"\nurl = \"https://cas.example.com/a\"\n";
        for (rest, says) in [
            ("adapter = \"http\"".to_owned(), "url is missing"),
            ("adapter = \"static\"\nurl = \"https://a/\"".to_owned(), "remove url"),
            ("adapter = \"http\"\nurl = \"http://cas.example.com/\"".to_owned(), "loopback"),
            (format!("{asked}policy = \"gold\""), "only adapter `static`"),
            (format!("{asked}timeout_ms = 99"), "from 100 to 30000"),
            (format!("{asked}cache_s = 61"), "from 0 to 60"),
            (format!("{asked}requests_max = 0"), "from 1 to 10000"),
            (format!("{asked}ca_system = \"https://cas.example.com/b\""), "must be the same as url"),
            (format!("{asked}ca_system = \"\""), "ca_system is empty"),
            ("adapter = \"static\"\nlicense_duration_s = 0".to_owned(), "entitlements.toml:4"),
            ("adapter = \"static\"\nlicense_duration = 9".to_owned(), "license_duration"),
            ("adapter = \"soap\"".to_owned(), "soap"),
        ] {
            assert!(entry(&rest).contains(says), "{}", entry(&rest));
        }
        let twice = "[[entitlement]]\naccount = \"a\"\nadapter = \"static\"\nca_system = \"OVP\"\n";
        assert!(
            load(&format!("{twice}{}", twice.replace("OVP", "ovp"))).unwrap_err().contains("entitlement 2")
        );
    }
}
