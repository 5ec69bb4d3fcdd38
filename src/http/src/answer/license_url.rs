//! Where the players of a provider's media ask for licenses.

use keymoot_drm::EncryptionProvider;
use keymoot_model::Account;

/// Where a player asks for licenses. `cenc` stands for several systems, so its URL ends before the
/// system: a player adds `/widevine/license` or the like.
pub fn license_url(provider: EncryptionProvider, account: &Account, own_url: &str) -> String {
    let base = account.license_url.as_deref().unwrap_or(own_url).trim_end_matches('/');
    match provider {
        EncryptionProvider::Cenc => format!("{base}/cenc"),
        // Whoever plays HLS AES-128 adds the key id.
        EncryptionProvider::Hls => format!("{base}/hls/key"),
        provider => format!("{base}/{provider}/license"),
    }
}
