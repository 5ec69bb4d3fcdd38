//! What the provider's systems need to know of a key, or of the keys of many periods.

use zeroize::Zeroizing;

use keymoot_drm::{
    ContentKeyInfo, EncryptionProvider, LicenseUrl, OwnedContentKeyInfo, ProtectionScheme, SystemData,
};
use keymoot_model::{Account, ContentId, TrackName};
use keymoot_service::{ServedKey, ServedPeriod};

use crate::answer::error::ApiError;
use crate::api::Api;

/// What each of the provider's systems needs to know of a key.
pub(crate) fn of_key(
    (provider, scheme): (EncryptionProvider, ProtectionScheme),
    api: &Api,
    account: &Account,
    (content, track): (&ContentId, &TrackName),
    served: &ServedKey,
) -> Result<Vec<SystemData>, ApiError> {
    let playready_license_url = account.playready_la_url.as_deref().map(LicenseUrl::new).transpose()?;
    let info = ContentKeyInfo {
        kid: served.kid,
        key: Some(served.key.expose()),
        iv: provider.constant_iv(scheme, &served.kid).map(|own| served.iv.unwrap_or(own)),
        content,
        account: &account.id,
        track,
        scheme,
        period: None,
        playready_license_url: playready_license_url.as_ref(),
    };
    Ok(api.drm.system_data(provider, &info)?)
}

/// For each period the data of each system, in the order of the provider's systems.
pub(crate) async fn of_periods(
    (provider, scheme): (EncryptionProvider, ProtectionScheme),
    api: &Api,
    account: &Account,
    (content, track): (&ContentId, &TrackName),
    served: &[ServedPeriod],
) -> Result<Vec<Vec<SystemData>>, ApiError> {
    let playready_license_url = account.playready_la_url.as_deref().map(LicenseUrl::new).transpose()?;
    let mut data_of_periods: Vec<Vec<SystemData>> = served.iter().map(|_| Vec::new()).collect();
    for system in provider.systems() {
        let infos = served.iter().map(|served| OwnedContentKeyInfo {
            kid: served.kid,
            key: Some(Zeroizing::new(*served.key.expose())),
            iv: provider.constant_iv(scheme, &served.kid),
            content: content.clone(),
            account: account.id.clone(),
            track: track.clone(),
            scheme,
            period: Some(served.period),
            playready_license_url: playready_license_url.clone(),
        });
        let data = api.drm.data_of(*system, infos.collect()).await?;
        for (of_period, data) in data_of_periods.iter_mut().zip(data) {
            of_period.push(data);
        }
    }
    Ok(data_of_periods)
}
