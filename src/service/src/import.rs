//! Keys brought along from elsewhere: stored once, however often they are brought.

use keymoot_auth::Grant;
use keymoot_crypto::ContentKey;
use keymoot_model::{ContentId, Kid, TrackName};

use super::error::ServiceError;
use super::ingest::KeyChange;
use super::keys::{Keys, ServedKey};
use super::replicated_state::ReplicatedState;
use super::track::ContentTrack;

impl<R: ReplicatedState> Keys<R> {
    /// Stores a key with its key id for a track that has none. A track that has this very key, be it an
    /// old version, keeps what it has. With `replace` the key takes the place of another one, which
    /// stays licensable.
    ///
    /// # Errors
    /// [`ServiceError::Conflict`] when the track has another key, or the key id names another key;
    /// else as for [`Self::create`].
    pub async fn import(
        &self,
        grant: &Grant,
        content: &ContentId,
        track: &TrackName,
        own: (Kid, ContentKey),
        replace: bool,
    ) -> Result<ServedKey, ServiceError> {
        let change = if replace { KeyChange::Replace } else { KeyChange::Import };
        self.ingest_key(grant, ContentTrack::new(content, track), change, Some(own)).await
    }
}
