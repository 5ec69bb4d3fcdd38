//! What the provider's systems need to know of the keys of many periods.

use zeroize::Zeroizing;

use keymoot_drm::{EncryptionProvider, LicenseUrl, OwnedContentKeyInfo, ProtectionScheme, SystemData};
use keymoot_model::{Account, ContentId, TrackName};
use keymoot_service::ServedPeriod;

use super::error::ApiError;
use super::server::Api;

/// For each period the data of each system, in the order of the provider's systems.
pub async fn of(
    provider: EncryptionProvider,
    api: &Api,
    account: &Account,
    (content, track): (&ContentId, &TrackName),
    served: &[ServedPeriod],
) -> Result<Vec<Vec<SystemData>>, ApiError> {
    let playready_license_url = account.playready_la_url.as_deref().map(LicenseUrl::new).transpose()?;
    let mut of_periods: Vec<Vec<SystemData>> = served.iter().map(|_| Vec::new()).collect();
    for system in provider.systems() {
        let infos = served.iter().map(|served| OwnedContentKeyInfo {
            kid: served.kid,
            key: Some(Zeroizing::new(*served.key.expose())),
            iv: provider.constant_iv(&served.kid),
            content: content.clone(),
            account: account.id.clone(),
            track: track.clone(),
            scheme: ProtectionScheme::Cenc,
            period: Some(served.period),
            playready_license_url: playready_license_url.clone(),
        });
        let data = api.drm.data_of(*system, infos.collect()).await?;
        for (of_period, data) in of_periods.iter_mut().zip(data) {
            of_period.push(data);
        }
    }
    Ok(of_periods)
}
