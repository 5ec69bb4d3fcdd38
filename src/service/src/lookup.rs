//! From a key id to its key: stored, supplied for a period, or derived, of whatever version.

use keymoot_auth::Grant;
use keymoot_crypto::{ContentKey, KidPlace, PeriodKeys};
use keymoot_model::{AccountId, Consistency, KeyPath, Kid, Period, SeedRecord};
use keymoot_state as state;

use super::error::ServiceError;
use super::keys::{Keys, ServedKey};
use super::replicated_state::ReplicatedState;
use super::track::ContentTrack;

/// A key that was found by its key id. Whether the asker may have it is the caller's to decide, by
/// the place.
#[derive(Debug)]
pub struct LocatedKey {
    pub place: KeyPath,
    /// Its version within its track.
    pub version: u32,
    pub kid: Kid,
    pub key: ContentKey,
    /// The crypto period it holds for; `None` when it holds for the whole track.
    pub period: Option<Period>,
}

impl<R: ReplicatedState> Keys<R> {
    /// The account's key of a key id, if it has one: current and old versions, keys supplied for a
    /// period, and derived ones. What other accounts have under that id is not seen.
    ///
    /// # Errors
    /// When the cluster does not answer or the key cannot be opened.
    pub async fn by_kid(
        &self,
        account: &AccountId,
        kid: &Kid,
        consistency: Consistency,
    ) -> Result<Option<LocatedKey>, ServiceError> {
        if consistency == Consistency::Linearizable {
            self.cluster.read_barrier().await?;
        }
        // What is stored wins; an account never stores the id of a derived key of its own, so the order costs nothing.
        if let Some(record) = state::key_by_kid(self.cluster.state(), account, kid)? {
            let key = self.keyring.unwrap_content_key(&record)?;
            let (place, version, period) = (record.place, record.version, record.period);
            return Ok(Some(LocatedKey { place, version, kid: *kid, key, period }));
        }
        let Some((record, at)) = self.derived_place(account, kid)? else { return Ok(None) };
        let seed = self.keyring.unwrap_period_seed(&record)?;
        let key = PeriodKeys::new(&seed, &record.place, record.length_s).key(at.index);
        Ok(Some(LocatedKey {
            version: record.id.version.into(),
            kid: *kid,
            key,
            period: Some(Period { length_s: record.length_s, index: at.index }),
            place: record.place,
        }))
    }

    /// The version of a track's key with this key id, current or old.
    ///
    /// # Errors
    /// As for [`Self::by_kid`].
    pub async fn read_version<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
        kid: &Kid,
    ) -> Result<Option<ServedKey>, ServiceError> {
        let place = track.into().place(&grant.account().id);
        let account = grant.account();
        let located = self.by_kid(&account.id, kid, account.consistency).await?;
        let own = located.filter(|key| key.place == place && key.period.is_none());
        Ok(own.map(|LocatedKey { kid, key, version, .. }| ServedKey { kid, key, version }))
    }

    /// The account's seed that a key id was derived with, as far as this node has applied the log.
    fn derived_place(
        &self,
        account: &AccountId,
        kid: &Kid,
    ) -> Result<Option<(SeedRecord, KidPlace)>, ServiceError> {
        let Some(at) = self.known_kid_key()?.and_then(|key| key.place(kid)) else { return Ok(None) };
        let seed = state::seed(self.cluster.state(), at.seed)?;
        Ok(seed.filter(|record| record.place.account == *account).map(|record| (record, at)))
    }

    /// A supplied key id must not be that of a derived key of the account: one id would name two keys.
    pub(super) fn must_not_be_derived(&self, account: &AccountId, kid: &Kid) -> Result<(), ServiceError> {
        match self.derived_place(account, kid)? {
            None => Ok(()),
            Some(_) => Err(ServiceError::Conflict(format!(
                "key_id {} names a derived key of a crypto period; give a key_id that was never used",
                kid.to_base64()
            ))),
        }
    }
}
