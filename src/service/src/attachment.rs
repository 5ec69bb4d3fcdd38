//! A policy that is to be attached to a content: looked for before, so that an unknown name is refused
//! before anything is proposed.

use keymoot_auth::Grant;
use keymoot_model::{AccountId, Consistency, ContentId, PolicyName};
use keymoot_state as state;
use keymoot_state::{Command, Response, Tables};

use super::admin::Operation;
use super::error::ServiceError;
use super::replicated_state::ReplicatedState;

/// A policy that is to be attached to a content.
#[derive(Clone)]
pub(super) struct Attachment {
    account: AccountId,
    content: ContentId,
    policy: PolicyName,
    if_absent: bool,
}

impl Attachment {
    /// The command that attaches it.
    pub(super) fn command(&self) -> Command {
        let Self { account, content, policy, if_absent } = self.clone();
        Operation::AttachPolicy { account, content, name: policy, if_absent }.into_command()
    }

    /// What the state's answer to that means.
    pub(super) fn outcome(self, response: Response) -> Result<(), ServiceError> {
        match response {
            Response::Done | Response::Unchanged | Response::AnsweredBefore => Ok(()),
            Response::NoPolicy => Err(ServiceError::UnknownPolicy { name: self.policy }),
            _ => Err(ServiceError::Protocol { command: "attach-policy" }),
        }
    }

    /// Whether it changes nothing, because this policy is attached, or another one may stay. An unknown
    /// name is refused even where another policy stays attached.
    fn is_needless(&self, tables: &impl Tables) -> Result<bool, ServiceError> {
        let attached = state::attached_policy(tables, &self.account, &self.content)?;
        let stays = attached.as_ref() == Some(&self.policy) || (self.if_absent && attached.is_some());
        Ok(stays && self.is_known(tables)?)
    }

    fn is_known(&self, tables: &impl Tables) -> Result<bool, ServiceError> {
        Ok(state::policy(tables, &self.account, &self.policy)?.is_some())
    }
}

/// What attaches a policy to a content; with `if_absent`, only if none is attached. None when nothing
/// changes, as fresh as the account's reads are; whether there is such a policy is read linearizably.
pub(super) async fn attachment<R: ReplicatedState>(
    cluster: &R,
    grant: &Grant,
    content: &ContentId,
    policy: &PolicyName,
    if_absent: bool,
) -> Result<Option<Attachment>, ServiceError> {
    let (account, consistency) = (grant.account().id.clone(), grant.account().consistency);
    let attachment = Attachment { account, content: content.clone(), policy: policy.clone(), if_absent };
    make_fresh(cluster, consistency).await?;
    if attachment.is_needless(cluster.state())? {
        return Ok(None);
    }
    if consistency == Consistency::Local {
        cluster.read_barrier().await?;
    }
    match attachment.is_known(cluster.state())? {
        true => Ok(Some(attachment)),
        false => Err(ServiceError::UnknownPolicy { name: policy.clone() }),
    }
}

/// Waits for a linearizable read unless it is asked for a local one.
pub(super) async fn make_fresh<R: ReplicatedState>(
    cluster: &R,
    consistency: Consistency,
) -> Result<(), ServiceError> {
    match consistency {
        Consistency::Linearizable => Ok(cluster.read_barrier().await?),
        Consistency::Local => Ok(()),
    }
}
