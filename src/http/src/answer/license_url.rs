//! Where the players of a provider's media ask for licenses.

use keymoot_drm::EncryptionProvider;
use keymoot_model::Account;

/// The URL that a player is given: below the account's own license server, or else below `base`.
pub(crate) fn license_url(provider: EncryptionProvider, account: &Account, base: &str) -> String {
    let base = account.license_url.as_deref().unwrap_or(base).trim_end_matches('/');
    format!("{base}/{}", provider.license_path())
}
