//! A transfer to a voter that does not take over: how long the cluster is without a leader then.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use keymoot_model::PolicyName;

use super::clients::Clients;
use super::fate::Fate;
use super::faults::leader;
use super::run::{Weakness, in_virtual_time};
use super::world::World;
use crate::members::leader_transfer::LeaderTransferError;

/// The longest time limit for the target, and an election in which nobody waits for a time-out. The longest
/// election time-out of the simulation is 1.2 s, and openraft adds twice that where a voter has seen a longer
/// log than its own.
const WITHIN: Duration = Duration::from_millis(1500);

/// Cuts a voter off at the moment when it is told to lead. Returns what the transfer said, and after how
/// long another voter took a write.
async fn gap_after_a_failed_transfer(seed: u64, nodes: u64) -> (LeaderTransferError, Duration) {
    let world = Arc::new(World::new(&mut Fate::new(seed), nodes, Weakness::Nothing));
    world.found().await;
    while leader(&world).is_none() {
        sleep(Duration::from_millis(100)).await;
    }
    sleep(Duration::from_secs(10)).await;
    let old = world.node(leader(&world).unwrap()).unwrap();
    let clients = Clients::new(world.clone(), false);
    let name = |text: &str| PolicyName::new(text).unwrap();
    let led = world.clusters().into_iter().find(|cluster| cluster.node_id() == old.id).unwrap();
    assert!(clients.change_policy(&led, &name("before"), 0).await.is_some());

    let target = world.ids().into_iter().find(|id| *id != old.id).unwrap();
    let others = world.ids().into_iter().filter(|id| *id != target);
    world.network.block(others.flat_map(|id| [(target, id), (id, target)]));
    let began = Instant::now();
    let third = world.clusters().into_iter().find(|it| ![old.id, target].contains(&it.node_id())).unwrap();
    let writing = async {
        // The write waits until somebody leads who proposes it.
        assert!(clients.change_policy(&third, &name("after"), 0).await.is_some(), "no write was taken");
        began.elapsed()
    };
    let transferring = async { old.members.transfer_leader(target).await.unwrap_err() };
    tokio::join!(transferring, writing)
}

#[test]
fn a_leader_whose_target_does_not_take_over_is_followed_by_another_voter_at_once() {
    for nodes in [3, 5] {
        for seed in 1..=8 {
            let (said, gap) = in_virtual_time(gap_after_a_failed_transfer(seed, nodes));
            println!("{nodes} nodes, seed {seed}: {gap:?}, {said}");
            assert!(
                matches!(said, LeaderTransferError::AnotherLeads { .. }),
                "{nodes} nodes, seed {seed}: {said}"
            );
            assert!(gap < WITHIN, "{nodes} nodes, seed {seed}: no write was taken for {gap:?}");
        }
    }
}
