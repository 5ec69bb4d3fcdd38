//! A leader that was cut off and does not know its successor yet.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use keymoot_model::PolicyName;

use super::clients::Clients;
use super::fate::Fate;
use super::faults::leader;
use super::run::{Weakness, in_virtual_time};
use super::world::World;

/// Cuts the leader off, lets its successor acknowledge a change, and asks the old leader for the
/// read index at the moment it reaches the others again, for itself and for each of them. Returns
/// the least index that it answered, if any, and that of the change.
async fn index_of_the_old_leader(seed: u64, weakness: Weakness) -> (Option<u64>, u64) {
    let world = std::sync::Arc::new(World::new(&mut Fate::new(seed), 3, weakness));
    world.found().await;
    while leader(&world).is_none() {
        sleep(Duration::from_millis(100)).await;
    }
    let old = world.node(leader(&world).unwrap()).unwrap();
    let clients = Clients::new(world.clone(), false);
    let name = |text: &str| PolicyName::new(text).unwrap();
    let led = world.clusters().into_iter().find(|cluster| cluster.node_id() == old.id).unwrap();
    assert!(clients.change_policy(&led, &name("before"), 0).await.is_some());
    let index = old.barrier.read_index.read().await;
    assert!(index.is_ok(), "it leads, and every voter supports it");

    let others: Vec<u64> = world.ids().into_iter().filter(|id| *id != old.id).collect();
    world.network.block(others.iter().flat_map(|id| [(old.id, *id), (*id, old.id)]));
    let until = Instant::now() + Duration::from_secs(20);
    let written = loop {
        assert!(Instant::now() < until, "nobody else leads");
        for cluster in world.clusters().into_iter().filter(|cluster| cluster.node_id() != old.id) {
            clients.change_policy(&cluster, &name("after"), 0).await;
        }
        let indexes = others.iter().map(|id| world.node(*id).unwrap().status.status().unwrap().node);
        match indexes
            .filter(|node| node.leader.is_some_and(|id| id != old.id))
            .map(|node| node.applied_index)
            .max()
        {
            Some(index) => break index,
            None => sleep(Duration::from_millis(100)).await,
        }
    };
    world.network.block([]);
    let voters = others.iter().filter_map(|id| world.node(*id));
    let for_voters = voters.filter_map(|node| {
        let vote = node.barrier.read_index.ledger().vote()?;
        old.barrier.read_index.answer_voter(node.id, &vote)
    });
    let for_voters = for_voters.min();
    let own = old.barrier.read_index.read().await.ok();
    (own.into_iter().chain(for_voters).min(), written)
}

#[test]
fn an_old_leader_gives_no_index_that_lacks_what_its_successor_acknowledged() {
    for seed in 1..=8 {
        let (index, written) = in_virtual_time(index_of_the_old_leader(seed, Weakness::Nothing));
        assert!(index.is_none_or(|index| index >= written), "seed {seed}: {index:?}, written {written}");
    }
}

#[test]
fn votes_that_are_kept_quiet_are_noticed() {
    let stale = |seed| {
        let (index, written) = in_virtual_time(index_of_the_old_leader(seed, Weakness::HushedVotes));
        index.is_some_and(|index| index < written)
    };
    assert!((1..=8).any(stale), "an old leader believed in votes that were given to another");
}
