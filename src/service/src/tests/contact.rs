//! The contact with the quorum: what a node may grant that is behind, was paused, or is cut off.

use std::time::Duration;

use keymoot_telemetry::Metrics;

use super::*;
use crate::QuorumContact;

const BOUND: Duration = Duration::from_secs(60);

fn contact(node: &MemoryNode) -> Arc<QuorumContact<MemoryNode>> {
    Arc::new(QuorumContact::new(node.clone(), BOUND, Arc::new(Metrics::new().unwrap())))
}

fn is_cut_off(outcome: &Result<(), ClusterError>) -> bool {
    matches!(outcome, Err(ClusterError::CutOff { .. }))
}

#[tokio::test(start_paused = true)]
async fn a_node_that_confirms_nothing_looks_itself_before_it_grants() {
    let world = World::new();
    let contact = contact(world.here());
    contact.confirm(|| false).await.unwrap();
    assert_eq!(world.here().barriers(), 1);
    contact.confirm(|| false).await.unwrap();
    assert_eq!(world.here().barriers(), 1, "it was just confirmed");
    // As after a pause of the process.
    tokio::time::sleep(Duration::from_secs(1)).await;
    contact.confirm(|| false).await.unwrap();
    assert_eq!(world.here().barriers(), 2);
    world.here().lose_quorum();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(contact.confirm(|| false).await, Err(ClusterError::NoQuorum { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_serves_local_accounts_for_a_time_and_again_when_it_is_back() {
    let world = World::new();
    let contact = contact(world.here());
    let keeping = tokio::spawn(contact.clone().keep());
    contact.confirm(|| true).await.unwrap();
    assert!(world.here().noted_contact_s().is_some());
    world.here().lose_quorum();
    tokio::time::sleep(Duration::from_secs(50)).await;
    contact.confirm(|| true).await.unwrap();
    assert!(matches!(contact.confirm(|| false).await, Err(ClusterError::NoQuorum { .. })));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert!(is_cut_off(&contact.confirm(|| true).await));
    world.here().regain_quorum();
    tokio::time::sleep(Duration::from_secs(2)).await;
    contact.confirm(|| true).await.unwrap();
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hears_its_leader_and_lags_grants_nothing_until_it_has_caught_up() {
    let world = World::new();
    let contact = contact(world.here());
    let keeping = tokio::spawn(contact.clone().keep());
    contact.confirm(|| true).await.unwrap();
    // Its barriers fail as those of a node that is cut off.
    world.here().lose_quorum();
    world.here().lag_behind(true);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(matches!(contact.confirm(|| true).await, Err(ClusterError::Behind { .. })));
    // The leader is not heard any more: this is being cut off.
    world.here().lag_behind(false);
    contact.confirm(|| true).await.unwrap();
    world.here().lag_behind(true);
    let waiting = contact.confirm(|| true);
    let caught_up = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.here().lag_behind(false);
        world.here().regain_quorum();
    };
    tokio::join!(waiting, caught_up).0.unwrap();
    keeping.abort();
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_begin_the_time_anew() {
    let world = World::new();
    world.here().lose_quorum();
    let now_s = super::super::clock::now_ms() / 1000;
    for (noted_s, granted) in [(now_s - 3600, false), (now_s - 5, true), (now_s + 3600, true)] {
        world.here().note_contact(noted_s);
        let contact = contact(world.here());
        let keeping = tokio::spawn(contact.clone().keep());
        assert_eq!(contact.confirm(|| true).await.is_ok(), granted, "{noted_s}");
        keeping.abort();
    }
}
