//! Policies: stored, changed and deleted by accounts, attached to contents, found for a license
//! (uDRM 2.4).
//!
//! What holds for a content is the policy attached to it, else the account's default, else none.

use keymoot_auth::Grant;
use keymoot_cluster::Cluster;
use keymoot_model::{Account, AccountId, Consistency, ContentId, Policy, PolicyName, PolicyRecord};
use keymoot_state as state;
use keymoot_state::Response;
pub use keymoot_state::{ListedPolicy, PolicyCondition};

use super::admin::Operation;
use super::attachment::{attachment, make_fresh};
use super::changes::change_one;
use super::error::ServiceError;
use super::policy_refusal::policy_refusal;
use super::replicated_state::ReplicatedState;

/// The use cases around policies.
#[derive(Clone)]
pub struct Policies<R = Cluster> {
    cluster: R,
}

impl<R: ReplicatedState> Policies<R> {
    pub fn new(cluster: R) -> Self {
        Self { cluster }
    }

    /// The policy that holds for a content: its own, else the account's default, else none. As far as
    /// this node has applied the log.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn of_content(&self, account: &Account, content: &ContentId) -> Result<Option<Policy>, ServiceError> {
        let tables = self.cluster.state();
        let attached = state::attached_policy(tables, &account.id, content)?;
        let name = match attached {
            Some(name) => Some(name),
            None => state::default_policy(tables, &account.id)?,
        };
        match name {
            Some(name) => self.stored(&account.id, &name).map(|record| Some(record.policy)),
            None => Ok(None),
        }
    }

    /// The policy of this name.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPolicy`] when the account has none of that name; when the cluster does
    /// not answer.
    pub async fn named(
        &self,
        account: &Account,
        name: &PolicyName,
        consistency: Consistency,
    ) -> Result<PolicyRecord, ServiceError> {
        self.make_fresh(consistency).await?;
        self.stored(&account.id, name)
    }

    /// All policies of the account, by name.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn list(&self, grant: &Grant) -> Result<Vec<ListedPolicy>, ServiceError> {
        self.make_fresh(grant.account().consistency).await?;
        Ok(state::listed_policies(self.cluster.state(), &grant.account().id)?)
    }

    /// The name of the policy attached to a content.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn attached(
        &self,
        grant: &Grant,
        content: &ContentId,
    ) -> Result<Option<PolicyName>, ServiceError> {
        self.make_fresh(grant.account().consistency).await?;
        Ok(state::attached_policy(self.cluster.state(), &grant.account().id, content)?)
    }

    /// Stores a policy under its name, if `condition` holds of the one that is there.
    ///
    /// # Errors
    /// [`ServiceError::Conflict`] when it does not, or the account has as many as it may have; when
    /// the cluster does not answer.
    pub async fn put(
        &self,
        grant: &Grant,
        policy: Policy,
        condition: PolicyCondition,
    ) -> Result<PolicyRecord, ServiceError> {
        let account = grant.account().id.clone();
        let name = policy.name.clone();
        state::room_for_policy(self.cluster.state(), &account, &name)?
            .map_err(|full| ServiceError::Conflict(full.to_string()))?;
        let operation = Operation::PutPolicy { account, policy: Box::new(policy), condition };
        match change_one(&self.cluster, grant, operation.into_command()).await? {
            Response::Policy(record) => Ok(*record),
            refusal => Err(policy_refusal(&name, &refusal, condition)),
        }
    }

    /// Deletes a policy that nothing uses, if `condition` holds of it.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPolicy`]; [`ServiceError::Conflict`] when it is in use or `condition`
    /// does not hold; when the cluster does not answer.
    pub async fn delete(
        &self,
        grant: &Grant,
        name: &PolicyName,
        condition: PolicyCondition,
    ) -> Result<(), ServiceError> {
        let account = grant.account().id.clone();
        let operation = Operation::DeletePolicy { account, name: name.clone(), condition };
        match change_one(&self.cluster, grant, operation.into_command()).await? {
            // An answer that was forgotten was Done, or the request had had another by now.
            Response::Done | Response::AnsweredBefore => Ok(()),
            refusal => Err(policy_refusal(name, &refusal, condition)),
        }
    }

    /// What uses a policy that was read or stored just now.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn listed(&self, grant: &Grant, record: PolicyRecord) -> Result<ListedPolicy, ServiceError> {
        Ok(state::listed_policy(self.cluster.state(), &grant.account().id, record)?)
    }

    /// Attaches a policy to a content; with `if_absent`, only if none is attached. Costs no write
    /// when this node knows that nothing changes, as fresh as the account's reads are.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPolicy`]; when the cluster does not answer.
    pub async fn attach(
        &self,
        grant: &Grant,
        content: &ContentId,
        policy: &PolicyName,
        if_absent: bool,
    ) -> Result<(), ServiceError> {
        let attachment = attachment(&self.cluster, grant, content, policy, if_absent).await?;
        let Some(attachment) = attachment else { return Ok(()) };
        let response = change_one(&self.cluster, grant, attachment.command()).await?;
        attachment.outcome(response)
    }

    /// Detaches a policy from a content, which then has the account's default.
    ///
    /// # Errors
    /// [`ServiceError::Conflict`] when it is not this policy that is attached; when the cluster does
    /// not answer.
    pub async fn detach(
        &self,
        grant: &Grant,
        content: &ContentId,
        policy: &PolicyName,
    ) -> Result<(), ServiceError> {
        let account = grant.account().id.clone();
        self.cluster.read_barrier().await?;
        match state::attached_policy(self.cluster.state(), &account, content)? {
            None => return Ok(()),
            Some(attached) if attached != *policy => {
                let message = format!("content {content} has policy {attached} attached, not {policy}");
                return Err(ServiceError::Conflict(message));
            }
            Some(_) => {}
        }
        let operation = Operation::DetachPolicy { account, content: content.clone() };
        self.change_use(grant, operation, None).await
    }

    /// Makes a policy the one for contents that have none of their own.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPolicy`]; when the cluster does not answer.
    pub async fn set_default(&self, grant: &Grant, policy: &PolicyName) -> Result<(), ServiceError> {
        let account = grant.account().id.clone();
        let operation = Operation::SetDefaultPolicy { account, name: Some(policy.clone()) };
        self.change_use(grant, operation, Some(policy)).await
    }

    /// Leaves contents that have no policy of their own without one, if this is the default.
    ///
    /// # Errors
    /// [`ServiceError::Conflict`] when another policy is; when the cluster does not answer.
    pub async fn unset_default(&self, grant: &Grant, policy: &PolicyName) -> Result<(), ServiceError> {
        let account = grant.account().id.clone();
        self.cluster.read_barrier().await?;
        match state::default_policy(self.cluster.state(), &account)? {
            None => return Ok(()),
            Some(default) if default != *policy => {
                let message = format!("the account's default is policy {default}, not {policy}");
                return Err(ServiceError::Conflict(message));
            }
            Some(_) => {}
        }
        self.change_use(grant, Operation::SetDefaultPolicy { account, name: None }, None).await
    }

    /// Does what makes use of `policy`, or of none.
    async fn change_use(
        &self,
        grant: &Grant,
        operation: Operation,
        policy: Option<&PolicyName>,
    ) -> Result<(), ServiceError> {
        match (change_one(&self.cluster, grant, operation.into_command()).await?, policy) {
            (Response::Done | Response::Unchanged | Response::AnsweredBefore, _) => Ok(()),
            (Response::NoPolicy, Some(name)) => Err(ServiceError::UnknownPolicy { name: name.clone() }),
            _ => Err(ServiceError::Protocol { command: "attach-policy" }),
        }
    }

    async fn make_fresh(&self, consistency: Consistency) -> Result<(), ServiceError> {
        make_fresh(&self.cluster, consistency).await
    }

    fn stored(&self, account: &AccountId, name: &PolicyName) -> Result<PolicyRecord, ServiceError> {
        state::policy(self.cluster.state(), account, name)?
            .ok_or_else(|| ServiceError::UnknownPolicy { name: name.clone() })
    }
}
