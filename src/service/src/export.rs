//! An account's keys, page by page, for whoever moves them to another cluster.

use keymoot_audit::Action;
use keymoot_auth::Grant;
use keymoot_crypto::ContentKey;
use keymoot_model::{Auxiliary, ContentId, KeyPath, Kid, Period, TrackName};
use keymoot_state as state;

use super::changes::key_name;
use super::clock::now_ms;
use super::error::ServiceError;
use super::keys::Keys;
use super::replicated_state::ReplicatedState;

/// The most keys of one page.
pub const EXPORT_PAGE_KEYS: usize = 500;

/// One version of a track's key.
#[derive(Debug)]
pub struct ExportedKey {
    pub place: KeyPath,
    /// Its version within its track.
    pub version: u32,
    pub kid: Kid,
    pub key: ContentKey,
    /// The crypto period it was supplied for.
    pub period: Option<Period>,
    /// The content's auxiliary data, beside the current key of its default track.
    pub auxiliary: Option<Auxiliary>,
}

/// A page of keys: by content and track, and within a track by version.
#[derive(Debug)]
pub struct ExportPage {
    pub keys: Vec<ExportedKey>,
    /// Seeds of rotating tracks on this page. They cannot be exported: the ids of the keys that follow
    /// from them are made with a key of the cluster.
    pub seeds: usize,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Vec<u8>>,
}

impl<R: ReplicatedState> Keys<R> {
    /// The stored keys of the account, or of one content, from where the page before ended. What was
    /// stored before the first page was asked for is on some page.
    ///
    /// # Errors
    /// When the cluster does not answer, a key cannot be opened, or an export takes two operators and they did not agree
    /// on it.
    pub async fn export(
        &self,
        grant: &Grant,
        content: Option<&ContentId>,
        after: Option<&[u8]>,
    ) -> Result<ExportPage, ServiceError> {
        // Whoever moves keys must not miss one: always linearizable, whatever the account's reads are.
        self.cluster.read_barrier().await?;
        let (tables, account) = (self.cluster.state(), &grant.account().id);
        if !state::export_is_open(tables, account, now_ms())? {
            return Err(ServiceError::ExportShut { account: account.clone() });
        }
        let page = state::keys_page(tables, account, content, after, EXPORT_PAGE_KEYS)?;
        let mut keys = Vec::with_capacity(page.keys.len());
        for found in page.keys {
            let key = self.keyring.unwrap_content_key(&found.record)?;
            let place = found.record.place;
            let auxiliary = match found.is_current && place.track == TrackName::default_track() {
                true => state::auxiliary(tables, account, &place.content)?,
                false => None,
            };
            let (version, kid, period) = (found.record.version, found.record.kid, found.record.period);
            grant.trail().hand_out(Action::KEY_EXPORT, key_name(&place, kid, version, period));
            keys.push(ExportedKey { place, version, kid, key, period, auxiliary });
        }
        Ok(ExportPage { keys, seeds: page.schedules.len(), next: page.next })
    }
}
