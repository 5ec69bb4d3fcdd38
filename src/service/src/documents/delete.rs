//! Deleting what documents made of a content, or the key of one key id.

use keymoot_auth::Grant;
use keymoot_model::{ContentId, Kid};
use keymoot_state as state;
use keymoot_state::{Command, DELETED_VERSIONS_MAX, Response};

use crate::changes::change_one;
use crate::error::ServiceError;
use crate::keys::Keys;
use crate::replicated_state::ReplicatedState;

impl<R: ReplicatedState> Keys<R> {
    /// Deletes what documents made of a content, as of a fresh read; says how many versions and noted key ids went.
    pub(crate) async fn delete_documents(
        &self,
        grant: &Grant,
        content: &ContentId,
    ) -> Result<u32, ServiceError> {
        let account = &grant.account().id;
        let known = state::document_content(self.cluster.state(), account, content)?;
        let Some(last) = known.and_then(|known| known.last()) else { return Ok(0) };
        let mut deleted = 0_u32;
        loop {
            let (account, content, through) = (account.clone(), content.clone(), last.version);
            let command = Command::DeleteDocuments { account, content, through };
            match change_one(&self.cluster, grant, command).await? {
                Response::Deleted { versions } => {
                    deleted = deleted.saturating_add(versions);
                    // One command deletes no more.
                    if versions < DELETED_VERSIONS_MAX {
                        return Ok(deleted);
                    }
                }
                _ => return Err(ServiceError::Protocol { command: "delete-documents" }),
            }
        }
    }

    /// Deletes the key that a content's documents have under a key id, as of a fresh read; says whether there was one.
    pub(crate) async fn delete_document_key(
        &self,
        grant: &Grant,
        content: &ContentId,
        kid: Kid,
    ) -> Result<u32, ServiceError> {
        let account = &grant.account().id;
        if state::document_content(self.cluster.state(), account, content)?.is_none() {
            return Ok(0);
        }
        let command = Command::DeleteDocumentKid { account: account.clone(), content: content.clone(), kid };
        match change_one(&self.cluster, grant, command).await? {
            Response::Deleted { versions } => Ok(versions),
            _ => Err(ServiceError::Protocol { command: "delete-document-kid" }),
        }
    }
}
