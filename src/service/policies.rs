//! Policies: stored, changed and deleted by accounts, attached to contents, found for a license
//! (uDRM 2.4).
//!
//! What holds for a content is the policy attached to it, else the account's default, else none.

use crate::auth::Grant;
use crate::cluster::Cluster;
use crate::model::{Account, AccountId, Consistency, ContentId, Policy, PolicyName, PolicyRecord};
use crate::state::{self, Command, PolicyCondition, Response};

use super::error::ServiceError;

/// The policies that an account may have.
pub const POLICIES_MAX: usize = 1000;

/// A policy, and what uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPolicy {
    /// The policy.
    pub record: PolicyRecord,
    /// How many contents it is attached to.
    pub contents: u64,
    /// Whether it is the account's default.
    pub is_default: bool,
}

/// The use cases around policies.
#[derive(Clone)]
pub struct Policies {
    cluster: Cluster,
}

impl Policies {
    /// Over this cluster.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// The policy that holds for a content: its own, else the account's default, else none.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn of_content(
        &self,
        account: &Account,
        content: &ContentId,
        consistency: Consistency,
    ) -> Result<Option<Policy>, ServiceError> {
        self.make_fresh(consistency).await?;
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
        listed_policies(self.cluster.state(), &grant.account().id)
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
        let (tables, name) = (self.cluster.state(), policy.name.clone());
        if state::policy(tables, &account, &name)?.is_none()
            && state::policies(tables, &account)?.len() >= POLICIES_MAX
        {
            let message =
                format!("the account has {POLICIES_MAX} policies, as many as it may; delete one first");
            return Err(ServiceError::Conflict(message));
        }
        let command = Command::PutPolicy { account, policy: Box::new(policy), condition };
        match self.cluster.propose(command).await? {
            Response::Policy(record) => Ok(*record),
            Response::PolicyMoved { version } => Err(moved(&name, version, condition)),
            _ => Err(ServiceError::Protocol { command: "put-policy" }),
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
        let command =
            Command::DeletePolicy { account: grant.account().id.clone(), name: name.clone(), condition };
        match self.cluster.propose(command).await? {
            // An answer that was forgotten was Done, or the request had had another by now.
            Response::Done | Response::AnsweredBefore => Ok(()),
            refusal => Err(refused_delete(name, &refusal, condition)),
        }
    }

    /// Attaches a policy to a content; with `if_absent`, only if none is attached. `None` detaches.
    /// Costs no write when this node, caught up, knows that nothing changes.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPolicy`]; when the cluster does not answer.
    pub async fn attach(
        &self,
        grant: &Grant,
        content: &ContentId,
        policy: Option<&PolicyName>,
        if_absent: bool,
    ) -> Result<(), ServiceError> {
        let account = grant.account().id.clone();
        if let Some(name) = policy {
            self.cluster.read_barrier().await?;
            self.stored(&account, name)?;
            let attached = state::attached_policy(self.cluster.state(), &account, content)?;
            if attached.as_ref() == policy || (if_absent && attached.is_some()) {
                return Ok(());
            }
        }
        let command =
            Command::AttachPolicy { account, content: content.clone(), policy: policy.cloned(), if_absent };
        self.use_policy(command, policy, "attach-policy").await
    }

    /// Makes a policy the one for contents that have none of their own. `None` leaves them without.
    ///
    /// # Errors
    /// [`ServiceError::UnknownPolicy`]; when the cluster does not answer.
    pub async fn set_default(&self, grant: &Grant, policy: Option<&PolicyName>) -> Result<(), ServiceError> {
        let account = grant.account().id.clone();
        let command = Command::SetDefaultPolicy { account, policy: policy.cloned() };
        self.use_policy(command, policy, "set-default-policy").await
    }

    async fn use_policy(
        &self,
        command: Command,
        policy: Option<&PolicyName>,
        what: &'static str,
    ) -> Result<(), ServiceError> {
        match (self.cluster.propose(command).await?, policy) {
            (Response::Done | Response::Unchanged | Response::AnsweredBefore, _) => Ok(()),
            (Response::NoPolicy, Some(name)) => Err(ServiceError::UnknownPolicy { name: name.clone() }),
            _ => Err(ServiceError::Protocol { command: what }),
        }
    }

    async fn make_fresh(&self, consistency: Consistency) -> Result<(), ServiceError> {
        match consistency {
            Consistency::Linearizable => Ok(self.cluster.read_barrier().await?),
            Consistency::Local => Ok(()),
        }
    }

    fn stored(&self, account: &AccountId, name: &PolicyName) -> Result<PolicyRecord, ServiceError> {
        state::policy(self.cluster.state(), account, name)?
            .ok_or_else(|| ServiceError::UnknownPolicy { name: name.clone() })
    }
}

/// All policies of an account in these tables, by name, with what uses each.
///
/// # Errors
/// When the tables cannot be read.
pub fn listed_policies<T: state::Tables>(
    tables: &T,
    account: &AccountId,
) -> Result<Vec<ListedPolicy>, ServiceError> {
    let default = state::default_policy(tables, account)?;
    let mut listed = Vec::new();
    for record in state::policies(tables, account)? {
        let contents = state::policy_uses(tables, account, &record.policy.name)?;
        let is_default = default.as_ref() == Some(&record.policy.name);
        listed.push(ListedPolicy { record, contents, is_default });
    }
    Ok(listed)
}

/// Why a policy was not changed, in words that help.
fn moved(name: &PolicyName, version: Option<u64>, condition: PolicyCondition) -> ServiceError {
    ServiceError::Conflict(match (version, condition) {
        (None, _) => format!("there is no policy {name} to change; create it without If-Match"),
        (Some(version), PolicyCondition::IfVersion(wanted)) => format!(
            "policy {name} is version {version} by now, not {wanted}; read it again and repeat the change on that"
        ),
        (Some(version), _) => {
            format!("policy {name} exists, as version {version}; change it with PUT, or choose another name")
        }
    })
}

/// Why a policy was not deleted.
pub fn refused_delete(name: &PolicyName, refusal: &Response, condition: PolicyCondition) -> ServiceError {
    match refusal {
        Response::NoPolicy => ServiceError::UnknownPolicy { name: name.clone() },
        Response::PolicyMoved { version } => moved(name, *version, condition),
        Response::PolicyInUse { contents, is_default } => {
            let uses = match (contents, is_default) {
                (0, _) => "the account's default".to_owned(),
                (contents, true) => format!("the account's default and attached to {contents} contents"),
                (contents, false) => format!("attached to {contents} contents"),
            };
            ServiceError::Conflict(format!("policy {name} is in use: it is {uses}; detach it first"))
        }
        _ => ServiceError::Protocol { command: "delete-policy" },
    }
}
