//! Slots of devices and rentals, which all nodes count together.

use std::num::{NonZeroU16, NonZeroU32};

use keymoot_model::{Lease, Policy, PolicyName};
use keymoot_telemetry::Metrics;

use super::*;
use crate::{LeaseError, Leases, ReplicatedState, Viewing};

fn leases(node: &MemoryNode) -> Leases<MemoryNode> {
    Leases::new(node.clone(), Arc::new(Metrics::new().unwrap()))
}

fn two_devices() -> Policy {
    let mut policy = Policy::streaming(PolicyName::new("hd").unwrap());
    let (duration_s, slots) = (NonZeroU32::new(600).unwrap(), NonZeroU16::new(2).unwrap());
    policy.lease = Some(Lease { duration_s, slots });
    policy
}

#[tokio::test]
async fn a_device_beyond_the_limit_is_refused_on_every_node() {
    let world = World::new();
    let (grant, content) = (grant(account(Consistency::Linearizable)), film(1));
    let viewing = |udid| Viewing { grant: &grant, content: &content, user: Some("ann"), udid: Some(udid) };
    let [here, there] = &world.nodes;
    leases(here).admit(viewing("tv"), two_devices()).await.unwrap();
    leases(there).admit(viewing("phone"), two_devices()).await.unwrap();
    let third = leases(here).admit(viewing("tablet"), two_devices()).await;
    assert!(matches!(third, Err(LeaseError::SlotsTaken { slots: 2, frees_in_s: 590..=600 })), "{third:?}");
    leases(here).admit(viewing("phone"), two_devices()).await.unwrap();
}

#[tokio::test]
async fn a_slot_is_held_by_a_named_device_of_a_named_user() {
    let world = World::new();
    let (grant, content) = (grant(account(Consistency::Linearizable)), film(1));
    let nobody = Viewing { grant: &grant, content: &content, user: None, udid: Some("tv") };
    let refused = leases(world.here()).admit(nobody, two_devices()).await;
    assert!(matches!(refused, Err(LeaseError::Unnamed { member: "user_id", .. })));
    assert!(world.here().log().is_empty());
}

#[tokio::test]
async fn a_rental_begins_once() {
    let world = World::new();
    let (grant, content) = (grant(account(Consistency::Linearizable)), film(1));
    let mut policy = Policy::streaming(PolicyName::new("rent").unwrap());
    policy.rental_duration_s = NonZeroU32::new(3600);
    let viewing = Viewing { grant: &grant, content: &content, user: Some("ann"), udid: None };
    let [here, there] = &world.nodes;
    leases(here).admit(viewing, policy.clone()).await.unwrap();
    let left = leases(there).admit(viewing, policy).await.unwrap().rental_duration_s.unwrap();
    assert!((3590..=3600).contains(&left.get()));
    let place = crate::leases::user_place(&grant.account().id, &content, "ann");
    let began = |node: &MemoryNode| keymoot_state::rental_began_at_ms(node.state(), &place).unwrap().unwrap();
    assert_eq!(began(here), began(there));
}

#[tokio::test]
async fn without_a_quorum_no_slot_is_taken() {
    let world = World::new();
    let (grant, content) = (grant(account(Consistency::Linearizable)), film(1));
    let viewing = Viewing { grant: &grant, content: &content, user: Some("ann"), udid: Some("tv") };
    world.here().next_proposal_is(Fault::Refused);
    let refused = leases(world.here()).admit(viewing, two_devices()).await;
    assert!(matches!(refused, Err(LeaseError::Service(ServiceError::Cluster(_)))));
    assert!(world.here().log().is_empty());
}
