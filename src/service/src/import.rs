//! Keys brought along from elsewhere: stored once, however often they are brought.

use keymoot_auth::Grant;
use keymoot_crypto::ContentKey;
use keymoot_model::{ContentId, Kid, TrackName};
use keymoot_state as state;

use super::error::ServiceError;
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
        (kid, key): (Kid, ContentKey),
        replace: bool,
    ) -> Result<ServedKey, ServiceError> {
        let track = ContentTrack::new(content, track);
        let copy = ContentKey::from_bytes(key.expose());
        if replace {
            return self.replace(grant, track, Some((kid, copy))).await;
        }
        let served = self.create(grant, track, Some((kid, copy))).await?;
        if served.kid == kid && served.key.same_as(&key) {
            return Ok(served);
        }
        // It may have been the track's key before the one it has now.
        self.cluster.read_barrier().await?;
        let place = track.place(&grant.account().id);
        if let Some(record) = state::key_by_kid(self.cluster.state(), &kid)? {
            let known = self.open(&record)?;
            if record.place == place && known.key.same_as(&key) {
                return Ok(known);
            }
        }
        Err(ServiceError::Conflict(format!(
            "the content has another key, key_id {}; it stays unless the item says \"replace\":true",
            served.kid.to_base64()
        )))
    }
}
