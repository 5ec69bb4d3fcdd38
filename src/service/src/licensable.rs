//! The keys that a license may hand out: those of the content that was signed for, and of no other. They are found
//! here, and said to be handed out where the license is made.

use keymoot_auth::Grant;
use keymoot_model::{Consistency, ContentId, KeyKind, Kid, TrackName};

use super::error::ServiceError;
use super::keys::{Keys, ServedKey};
use super::lookup::LocatedKey;
use super::replicated_state::ReplicatedState;
use super::track::ContentTrack;

impl<R: ReplicatedState> Keys<R> {
    /// Which of these key ids are keys of the content: of any track, version and crypto period.
    /// Others are left out, whether they are somebody else's or nobody's: the asker learns neither.
    ///
    /// A content that encryptors' documents made has a key for every key id that nothing is stored or noted of: under one
    /// that no document named it opens nothing.
    ///
    /// They are looked for among what this node has applied: whoever wants more has it made fresh before,
    /// once for all that a license is made of. For an account that reads locally nobody does, so that
    /// players go on when the quorum is lost. A key id that is missing there may be a young one, so it is
    /// looked for once more after a linearizable read.
    ///
    /// # Errors
    /// When the cluster does not answer and nothing was found without it, or a key cannot be opened.
    pub(super) async fn of_content(
        &self,
        grant: &Grant,
        content: &ContentId,
        kids: &[Kid],
    ) -> Result<Vec<LocatedKey>, ServiceError> {
        let found = self.applied_of_content(grant, content, kids).await?;
        if found.len() == kids.len() || grant.account().consistency == Consistency::Linearizable {
            return Ok(found);
        }
        match self.cluster.read_barrier().await {
            Ok(()) => self.applied_of_content(grant, content, kids).await,
            Err(_) if !found.is_empty() => Ok(found),
            Err(error) => Err(error.into()),
        }
    }

    /// The track's current key for a license, found as [`Self::of_content`] finds keys.
    ///
    /// # Errors
    /// As for [`Self::of_content`].
    pub(super) async fn current_for_license(
        &self,
        grant: &Grant,
        track: ContentTrack<'_>,
    ) -> Result<Option<ServedKey>, ServiceError> {
        match self.applied(grant, track)? {
            (_, None) if grant.account().consistency == Consistency::Local => {
                self.cluster.read_barrier().await?;
                Ok(self.applied(grant, track)?.1)
            }
            (_, served) => Ok(served),
        }
    }

    async fn applied_of_content(
        &self,
        grant: &Grant,
        content: &ContentId,
        kids: &[Kid],
    ) -> Result<Vec<LocatedKey>, ServiceError> {
        let mut found = Vec::with_capacity(kids.len());
        for kid in kids {
            let account = &grant.account().id;
            match self.by_kid(account, kid, Consistency::Local).await? {
                // A key that players get as it is protects nothing.
                Some(key) if key.place.track == TrackName::hls_aes_128() => {}
                Some(key) => found.extend(Some(key).filter(|key| key.place.content == *content)),
                None => found.extend(self.unnoted_key(account, content, kid, KeyKind::Protected)?),
            }
        }
        Ok(found)
    }
}
