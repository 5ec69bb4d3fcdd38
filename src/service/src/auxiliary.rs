//! Auxiliary data: kept beside a content's keys, through the same quorum.

use keymoot_auth::Grant;
use keymoot_model::{Auxiliary, ContentId};
use keymoot_state as state;
use keymoot_state::Command;

use super::error::ServiceError;
use super::keys::Keys;
use super::replicated_state::ReplicatedState;

impl<R: ReplicatedState> Keys<R> {
    /// The content's auxiliary data, if it has any, as fresh as the account's reads are.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn auxiliary(
        &self,
        grant: &Grant,
        content: &ContentId,
    ) -> Result<Option<Auxiliary>, ServiceError> {
        self.make_fresh(grant).await?;
        Ok(state::auxiliary(self.cluster.state(), &grant.account().id, content)?)
    }

    /// What deletes a content's auxiliary data; none when this node, caught up, knows of none.
    pub(super) fn auxiliary_deletion(
        &self,
        grant: &Grant,
        content: &ContentId,
    ) -> Result<Option<Command>, ServiceError> {
        let account = &grant.account().id;
        let stored = state::auxiliary(self.cluster.state(), account, content)?;
        Ok(stored.map(|_| {
            let (account, content) = (account.clone(), content.clone());
            Command::PutAuxiliary { account, content, auxiliary: None, if_absent: false }
        }))
    }
}
