//! Noting what is new about a document's contents.

use keymoot_auth::Grant;
use keymoot_state as state;
use keymoot_state::{Command, NewDocument, Response};

use super::plan::DocumentPlan;
use super::refusals::conflict;
use super::seeds::new_document_seed;
use crate::changes::change;
use crate::error::ServiceError;
use crate::keys::Keys;
use crate::replicated_state::ReplicatedState;

impl<R: ReplicatedState> Keys<R> {
    /// Notes what is new, in one proposal.
    pub(super) async fn note(&self, grant: &Grant, plan: &DocumentPlan) -> Result<(), ServiceError> {
        let account = &grant.account().id;
        let mut commands = Vec::new();
        for (content, keys) in plan.news() {
            let seed = match state::current_document_seed(self.cluster.state(), account)? {
                Some(_) => None,
                None => Some(new_document_seed(&self.keyring, account)?),
            };
            let (account, content) = (account.clone(), content.clone());
            let new = NewDocument { account, content, seed, keys, answered: None };
            commands.push(Command::NoteDocument(Box::new(new)));
        }
        if let Some(limits) = &self.limits {
            let new = u32::try_from(commands.len()).unwrap_or(u32::MAX);
            limits.new_keys(account, new).await?;
        }
        for response in change(&self.cluster, grant, commands).await? {
            match response {
                Response::Done | Response::Unchanged | Response::AnsweredBefore => {}
                Response::DocumentRefused(refusal) => return Err(conflict(&refusal)),
                _ => return Err(ServiceError::Protocol { command: "note-document" }),
            }
        }
        // What was noted may not be applied here yet.
        self.cluster.read_barrier().await.map_err(ServiceError::from)
    }
}
