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

    /// Keeps auxiliary data with a content; with `if_absent`, only if it has none yet.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn keep_auxiliary(
        &self,
        grant: &Grant,
        content: &ContentId,
        auxiliary: Auxiliary,
        if_absent: bool,
    ) -> Result<(), ServiceError> {
        self.put_auxiliary(grant, content, Some(auxiliary), if_absent).await
    }

    /// Deletes a content's auxiliary data. Costs no write when this node, caught up, knows of none.
    pub(super) async fn delete_auxiliary(
        &self,
        grant: &Grant,
        content: &ContentId,
    ) -> Result<(), ServiceError> {
        if state::auxiliary(self.cluster.state(), &grant.account().id, content)?.is_none() {
            return Ok(());
        }
        self.put_auxiliary(grant, content, None, false).await
    }

    async fn put_auxiliary(
        &self,
        grant: &Grant,
        content: &ContentId,
        auxiliary: Option<Auxiliary>,
        if_absent: bool,
    ) -> Result<(), ServiceError> {
        let account = grant.account().id.clone();
        let command = Command::PutAuxiliary { account, content: content.clone(), auxiliary, if_absent };
        self.cluster.propose_one(command).await?;
        Ok(())
    }
}
