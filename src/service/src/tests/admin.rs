//! What operators do, as a node answers it.

use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_model::ClusterName;
use keymoot_model::PolicyName;

use super::policies::policy;
use super::*;
use crate::admin::{NewToken, Operation, OperationError, OperationOutcome, TokenLife, Viewer};
use crate::{PolicyCondition, ReplicatedState};

impl World {
    /// Has a use case done as a node does it, by the message that every node knows.
    async fn perform(&self, operation: Operation) -> Result<OperationOutcome, OperationError> {
        let AdminRequest::Propose(command) = operation.request() else { panic!("another message") };
        let response = self.here().propose_one(*command).await.unwrap();
        operation.outcome(AdminResponse::Applied(Box::new(response)))
    }
}

#[tokio::test]
async fn an_account_that_exists_stays_and_is_a_mistake_unless_it_may_be_there() {
    let world = World::new();
    let add = |consistency, if_absent| {
        world.perform(Operation::AddAccount { account: Box::new(account(consistency)), if_absent })
    };
    assert_eq!(add(Consistency::Linearizable, false).await.unwrap(), OperationOutcome::Done);
    let error = add(Consistency::Local, false).await.unwrap_err();
    assert_eq!(error.to_string(), "account 167 exists");
    assert_eq!(add(Consistency::Local, true).await.unwrap(), OperationOutcome::Unchanged);
    let id = AccountId::new("167").unwrap();
    let stored = keymoot_state::account(world.here().state(), &id).unwrap().unwrap();
    assert_eq!(stored.consistency, Consistency::Linearizable);
}

#[tokio::test]
async fn a_policy_is_stored_attached_made_the_default_and_deleted_when_nothing_uses_it() {
    let world = World::new();
    let (account, name) = (AccountId::new("167").unwrap(), PolicyName::new("hd").unwrap());
    let (content, if_absent) = (film(1), false);
    let attach = Operation::AttachPolicy { account: account.clone(), content, name: name.clone(), if_absent };
    let unknown = world.perform(attach.clone()).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no policy hd");
    let condition = PolicyCondition::IfAbsent;
    let put = |policy| Operation::PutPolicy { account: account.clone(), policy: Box::new(policy), condition };
    let stored = world.perform(put(policy("hd", false))).await.unwrap();
    assert_eq!(stored, OperationOutcome::PolicyStored { version: 1 });
    let refused = world.perform(put(policy("hd", true))).await.unwrap_err();
    assert!(refused.to_string().contains("is there already, as version 1"), "{refused}");
    assert_eq!(world.perform(attach).await.unwrap(), OperationOutcome::Done);
    let delete = || Operation::DeletePolicy {
        account: account.clone(),
        name: name.clone(),
        condition: PolicyCondition::Always,
    };
    assert!(matches!(world.perform(delete()).await, Err(OperationError::PolicyInUse(_))));
    let detach = Operation::DetachPolicy { account: account.clone(), content: film(1) };
    assert_eq!(world.perform(detach.clone()).await.unwrap(), OperationOutcome::Done);
    assert_eq!(world.perform(detach).await.unwrap(), OperationOutcome::Unchanged);
    let default = |name| Operation::SetDefaultPolicy { account: account.clone(), name };
    assert_eq!(world.perform(default(Some(name.clone()))).await.unwrap(), OperationOutcome::Done);
    assert_eq!(world.perform(default(None)).await.unwrap(), OperationOutcome::Done);
    assert_eq!(world.perform(delete()).await.unwrap(), OperationOutcome::Done);
}

#[tokio::test]
async fn a_token_is_added_once_and_revoked_once() {
    let world = World::new();
    let (cluster, life) = (ClusterName::new("test").unwrap(), TokenLife::new(TokenLife::MAX).unwrap());
    let new = NewToken::draw(cluster, [1; 32], life, None, false).unwrap();
    assert_eq!(world.perform(new.addition()).await.unwrap(), OperationOutcome::Done);
    assert!(matches!(world.perform(new.addition()).await, Err(OperationError::Unexpected)));
    let revoke = |id| Operation::RevokeToken { id };
    assert_eq!(world.perform(revoke(new.token.id)).await.unwrap(), OperationOutcome::Done);
    assert_eq!(world.perform(revoke(new.token.id)).await.unwrap(), OperationOutcome::Unchanged);
    let unknown = world.perform(revoke([0; 8])).await.unwrap_err();
    assert_eq!(unknown.to_string(), "the token is not one of this cluster");
}

#[tokio::test]
async fn a_rental_or_slot_that_is_not_there_cannot_be_ended() {
    let world = World::new();
    let (account, content) = (AccountId::new("167").unwrap(), film(1));
    let viewer = Viewer::User("ann".into());
    let end = Operation::EndRental { account: account.clone(), content: content.clone(), viewer };
    assert_eq!(world.perform(end).await.unwrap(), OperationOutcome::Unchanged);
    let (user, udid) = ("ann".to_owned(), "tv".to_owned());
    let free = Operation::FreeSlot { account, content, user, udid };
    assert_eq!(world.perform(free).await.unwrap(), OperationOutcome::Unchanged);
}
