//! An account's settings of documents as the documents need them.

use std::str::FromStr;

use keymoot_cpix::{Aes128Uri, ContractRule, DrmSystem, FairPlayUri, Settings};
use keymoot_drm::LicenseUrl;
use keymoot_model::{Account, AccountId, DocumentSettings};

use super::account_entry::AccountEntry;

/// The path below which players get clear AES-128 keys from this cluster, with the key id behind.
const KEY_PATH: &str = "/hls/key/{kid}";
/// The path at which this cluster issues Clear Key licenses.
const CLEAR_KEY_PATH: &str = "/cenc/clearkey/license";

/// What of an account itself documents depend on.
#[derive(Clone, Copy, Debug)]
pub struct DocumentAccount<'a> {
    id: &'a AccountId,
    license_url: Option<&'a str>,
    playready_la_url: Option<&'a str>,
}

impl<'a> From<&'a Account> for DocumentAccount<'a> {
    fn from(account: &'a Account) -> Self {
        let (license_url, playready_la_url) =
            (account.license_url.as_deref(), account.playready_la_url.as_deref());
        Self { id: &account.id, license_url, playready_la_url }
    }
}

impl<'a> From<&'a AccountEntry> for DocumentAccount<'a> {
    fn from(entry: &'a AccountEntry) -> Self {
        let (license_url, playready_la_url) =
            (entry.license_url.as_deref(), entry.playready_la_url.as_deref());
        Self { id: &entry.id, license_url, playready_la_url }
    }
}

/// What an account's documents are answered by. `license_base` is where players find this cluster, where the account
/// names no license server of its own; `has_clear_key` tells whether Clear Key licenses are issued there.
///
/// # Errors
/// A text that names the setting that cannot be used.
pub fn document_settings(
    account: DocumentAccount<'_>,
    documents: &DocumentSettings,
    license_base: &str,
    has_clear_key: bool,
) -> Result<Settings, String> {
    let mut settings = read(documents)?;
    settings.account = account.id.clone();
    let base = account.license_url.unwrap_or(license_base).trim_end_matches('/');
    if settings.aes128_uri.is_none() {
        // A key that players get as it is travels by TLS, so there is none of a server that has no TLS.
        settings.aes128_uri = format!("{base}{KEY_PATH}").parse().ok();
    }
    if has_clear_key {
        settings.clear_key_urls = vec![format!("{base}{CLEAR_KEY_PATH}")];
    }
    let playready = account.playready_la_url.map(LicenseUrl::new).transpose();
    settings.playready_license_url =
        playready.map_err(|error| format!("playready_la_url cannot be used: {error}"))?;
    Ok(settings)
}

/// Whether the settings can be used. Found here, a mistake stops the one who makes it; found later, it would stop every
/// packager.
///
/// # Errors
/// A text that names the setting and what is wrong with it.
pub(crate) fn check_documents(documents: &DocumentSettings) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = documents.paths().find(|path| !seen.insert(*path)) {
        return Err(format!("documents: the path {twice} is there twice"));
    }
    if seen.len() > PATHS_MAX {
        return Err(format!("documents: more than {PATHS_MAX} paths"));
    }
    read(documents).map(|_| ())
}

/// The most paths of an account's own.
const PATHS_MAX: usize = 16;

fn read(documents: &DocumentSettings) -> Result<Settings, String> {
    // The name is put in by whoever answers.
    let nobody = AccountId::new("-").map_err(|error| error.to_string())?;
    let mut settings = Settings::new(nobody);
    if let Some(uri) = &documents.fairplay_uri {
        settings.fairplay_uri = parsed::<FairPlayUri>("fairplay_uri", uri)?;
    }
    if let Some(uri) = &documents.aes128_uri {
        settings.aes128_uri = Some(parsed::<Aes128Uri>("aes128_uri", uri)?);
    }
    settings.demands_encryption = documents.encrypted_only;
    for rule in &documents.apart {
        let rule = ContractRule { system: system("apart", &rule.system)?, apart: rule.apart };
        settings.contract_rules.push(rule);
    }
    let systems = documents.systems.iter().map(|name| system("systems", name));
    settings.systems = systems.collect::<Result<_, _>>()?;
    Ok(settings)
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("documents.{name} cannot be used: {error}"))
}

fn system(setting: &str, name: &str) -> Result<DrmSystem, String> {
    DrmSystem::ALL.into_iter().find(|system| system.name() == name).ok_or_else(|| {
        let known = DrmSystem::ALL.map(DrmSystem::name).join(", ");
        format!("documents.{setting} names `{name}`, which is no DRM system; there are {known}")
    })
}

#[cfg(test)]
mod tests {
    use keymoot_model::DocumentPath;

    use super::*;

    #[test]
    fn what_cannot_be_used_is_named() {
        let refused = |documents: DocumentSettings| check_documents(&documents).unwrap_err();
        let none = DocumentSettings::default;
        assert_eq!(check_documents(&none()), Ok(()));
        let text = |text: &str| Some(text.to_owned());
        assert!(
            refused(DocumentSettings { fairplay_uri: text("skd://x"), ..none() }).contains("fairplay_uri")
        );
        assert!(
            refused(DocumentSettings { aes128_uri: text("http://a/{kid}"), ..none() }).contains("https://")
        );
        let systems = vec!["widevin".to_owned()];
        assert!(refused(DocumentSettings { systems, ..none() }).contains("`widevin`"));
        let apart = vec!["drm:audio-from-video".parse().unwrap()];
        assert!(refused(DocumentSettings { apart, ..none() }).contains("`drm`"));
        let path = || vec![DocumentPath::new("/a").unwrap()];
        let twice = DocumentSettings { speke_paths: path(), cpix_paths: path(), ..none() };
        assert!(refused(twice).contains("/a is there twice"));
    }
}
