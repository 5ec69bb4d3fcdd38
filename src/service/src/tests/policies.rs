//! Policies that several change at once.

use keymoot_model::{Policy, PolicyName};

use super::*;
use crate::PolicyCondition;
use keymoot_state::Command;

pub(super) fn policy(name: &str, can_persist: bool) -> Policy {
    let mut policy = Policy::streaming(PolicyName::new(name).unwrap());
    policy.can_persist = can_persist;
    policy
}

#[tokio::test]
async fn a_conditional_change_conflicts_with_another_one() {
    let world = World::new();
    let first = world.policies().put(&world.grant, policy("hd", false), PolicyCondition::IfAbsent).await;
    let version = first.unwrap().version;
    let condition = PolicyCondition::IfVersion(version);
    world.policies_elsewhere().put(&world.grant, policy("hd", true), condition).await.unwrap();
    let mut other = policy("hd", true);
    other.lease = None;
    other.rental_duration_s = std::num::NonZeroU32::new(60);
    let late = world.policies().put(&world.grant, other, condition).await;
    assert!(conflict(late).contains("is version 2 by now, not 1"));
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_answered_as_before() {
    let world = World::new();
    world.here().next_proposal_is(Fault::AnswerLost);
    let lost = world.policies().put(&world.grant, policy("hd", false), PolicyCondition::IfAbsent).await;
    assert!(is_no_quorum(&lost));
    let again = world.policies().put(&world.grant, policy("hd", false), PolicyCondition::IfAbsent).await;
    assert_eq!(again.unwrap().version, 1);
}

#[tokio::test]
async fn a_deletion_whose_answer_was_forgotten_is_done() {
    let world = World::new();
    let name = PolicyName::new("hd").unwrap();
    world.policies().put(&world.grant, policy("hd", false), PolicyCondition::Always).await.unwrap();
    world.here().next_proposal_is(Fault::AnswerForgotten);
    world.policies().delete(&world.grant, &name, PolicyCondition::Always).await.unwrap();
    let gone = world.policies().named(world.grant.account(), &name, Consistency::Local).await;
    assert!(matches!(gone, Err(ServiceError::UnknownPolicy { .. })));
}

#[tokio::test]
async fn a_policy_in_use_stays() {
    let world = World::new();
    let name = PolicyName::new("hd").unwrap();
    world.policies().put(&world.grant, policy("hd", false), PolicyCondition::Always).await.unwrap();
    world.policies_elsewhere().attach(&world.grant, &film(1), &name, false).await.unwrap();
    let refused = world.policies().delete(&world.grant, &name, PolicyCondition::Always).await;
    assert!(conflict(refused).contains("attached to 1 content"));
}

#[tokio::test]
async fn attaching_what_is_attached_costs_no_write() {
    let world = World::new();
    let name = PolicyName::new("hd").unwrap();
    world.policies().put(&world.grant, policy("hd", false), PolicyCondition::Always).await.unwrap();
    world.policies_elsewhere().attach(&world.grant, &film(1), &name, false).await.unwrap();
    let before = world.here().log().len();
    world.policies().attach(&world.grant, &film(1), &name, false).await.unwrap();
    assert_eq!(world.here().log().len(), before);
}

#[tokio::test]
async fn a_policy_that_goes_while_it_is_attached_is_unknown() {
    let world = World::new();
    let name = PolicyName::new("hd").unwrap();
    world.policies().put(&world.grant, policy("hd", false), PolicyCondition::Always).await.unwrap();
    world.here().next_proposal_is(Fault::After(vec![Command::DeletePolicy {
        account: world.grant.account().id.clone(),
        name: name.clone(),
        condition: PolicyCondition::Always,
    }]));
    let refused = world.policies().attach(&world.grant, &film(1), &name, false).await;
    assert!(matches!(refused, Err(ServiceError::UnknownPolicy { .. })));
    assert_eq!(world.policies().attached(&world.grant, &film(1)).await.unwrap(), None);
}
