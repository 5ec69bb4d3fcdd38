//! From a key id to its key: stored, supplied for a period, or derived, of whatever version.

use futures::future::try_join_all;
use keymoot_audit::{Action, KeyName};
use keymoot_auth::Grant;
use keymoot_crypto::{ContentKey, KidPlace, PeriodKeys};
use keymoot_model::{
    AccountId, Consistency, ContentId, KeyKind, KeyPath, Kid, Period, Scope, SeedRecord, TrackName,
};
use keymoot_state as state;

use super::changes::key_name;
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
    /// The IV that licenses announce for it; `None`: the one that follows from the key id.
    pub iv: Option<[u8; 16]>,
    /// Whether it is derived under a key id of an encryptor's.
    pub is_of_document: bool,
}

impl LocatedKey {
    /// What the audit calls it.
    pub(super) fn name(&self) -> KeyName {
        key_name(&self.place, self.kid, self.version, self.period)
    }
}

impl<R: ReplicatedState> Keys<R> {
    /// The account's keys of these key ids, in their order, as fresh as its reads are: all but those of HLS AES-128.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn look_up(
        &self,
        grant: &Grant,
        kids: &[Kid],
    ) -> Result<Vec<Option<LocatedKey>>, ServiceError> {
        let account = grant.account();
        let found = try_join_all(kids.iter().map(|kid| self.by_kid(&account.id, kid, account.consistency)));
        let mut found: Vec<Option<LocatedKey>> = found.await?;
        // Players get a clear key as it is: whoever asks by its id alone may want it for a DRM system.
        for key in &mut found {
            key.take_if(|key| key.place.track == TrackName::hls_aes_128());
        }
        for key in found.iter().flatten() {
            grant.trail().hand_out(Action::KEY_LOOK_UP, key.name());
        }
        Ok(found)
    }

    /// The key of a key id that is of this content and its track of HLS AES-128, for an encoder or a player. It is
    /// found also when it is younger than what this node has applied and the account reads locally.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn of_hls(
        &self,
        grant: &Grant,
        content: &ContentId,
        kid: &Kid,
    ) -> Result<Option<LocatedKey>, ServiceError> {
        let (account, consistency) = (&grant.account().id, grant.account().consistency);
        let found = match self.by_kid(account, kid, consistency).await? {
            None if consistency == Consistency::Local => {
                self.by_kid(account, kid, Consistency::Linearizable).await?
            }
            found => found,
        };
        let found = match found {
            Some(key) => Some(key).filter(|key| key.place.content == *content),
            None => self.unnoted_key(account, content, kid, KeyKind::Clear)?,
        };
        let found = found.filter(|key| key.place.track == TrackName::hls_aes_128());
        if let Some(key) = &found {
            let action = match grant.scope() {
                Scope::License => Action::KEY_PLAY,
                _ => Action::KEY_READ,
            };
            grant.trail().hand_out(action, key.name());
        }
        Ok(found)
    }

    /// The account's key of a key id, if it has one: current and old versions, keys supplied for a
    /// period, and derived ones. What other accounts have under that id is not seen.
    ///
    /// # Errors
    /// When the cluster does not answer or the key cannot be opened.
    pub(super) async fn by_kid(
        &self,
        account: &AccountId,
        kid: &Kid,
        consistency: Consistency,
    ) -> Result<Option<LocatedKey>, ServiceError> {
        if consistency == Consistency::Linearizable {
            self.cluster.read_barrier().await?;
        }
        match self.stored_by_kid(account, kid)? {
            Some(key) => Ok(Some(key)),
            None => self.noted_key(account, kid),
        }
    }

    /// The same without the keys of documents, as far as this node has applied the log.
    pub(super) fn stored_by_kid(
        &self,
        account: &AccountId,
        kid: &Kid,
    ) -> Result<Option<LocatedKey>, ServiceError> {
        let located = |place, version, key, period| LocatedKey {
            place,
            version,
            kid: *kid,
            key,
            period,
            iv: None,
            is_of_document: false,
        };
        // What is stored wins; an account never stores the id of a derived key of its own, so the order costs nothing.
        if let Some(record) = state::key_by_kid(self.cluster.state(), account, kid)? {
            let key = self.keyring.unwrap_content_key(&record)?;
            return Ok(Some(located(record.place, record.version, key, record.period)));
        }
        let Some((record, at)) = self.derived_place(account, kid)? else { return Ok(None) };
        let seed = self.keyring.unwrap_period_seed(&record)?;
        let key = PeriodKeys::new(&seed, &record.place, record.length_s).key(at.index);
        let period = Period { length_s: record.length_s, index: at.index };
        Ok(Some(located(record.place, record.id.version.into(), key, Some(period))))
    }

    /// The version of a track's key with this key id, current or old.
    ///
    /// # Errors
    /// When the cluster does not answer or the key cannot be opened.
    pub async fn read_version<'t>(
        &self,
        grant: &Grant,
        track: impl Into<ContentTrack<'t>>,
        kid: &Kid,
    ) -> Result<Option<ServedKey>, ServiceError> {
        let place = track.into().place(&grant.account().id);
        let account = grant.account();
        let located = self.by_kid(&account.id, kid, account.consistency).await?;
        // A document's key is of whichever tracks it encrypts, so its content is enough to have it by its key id; but a
        // clear one is never handed out where DRM systems' keys are, nor one of theirs among the clear.
        let clear = TrackName::hls_aes_128();
        let is_own = |key: &LocatedKey| match key.is_of_document {
            true => {
                key.place.content == place.content && (key.place.track == clear) == (place.track == clear)
            }
            false => key.place == place && key.period.is_none(),
        };
        let own = located.filter(is_own);
        Ok(own.map(|located| {
            grant.trail().hand_out(Action::KEY_READ, located.name());
            let LocatedKey { kid, key, version, iv, .. } = located;
            ServedKey { kid, key, version, iv }
        }))
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
