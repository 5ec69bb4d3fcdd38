//! Nodes whose state is altered behind their back: who is not with the majority stops for good, and
//! without a majority nothing is written until one is made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_model::{NodeId, Policy, PolicyName};
use keymoot_state as state;
use keymoot_state::{Command, Digest, PolicyCondition, Table};
use keymoot_store::Divergence;

use super::clients::account;
use super::disk::Stop;
use super::fate::Fate;
use super::faults::leader;
use super::run::{Weakness, in_virtual_time};
use super::world::World;
use crate::cluster::Cluster;
use crate::error::ClusterError;
use crate::wire::membership_change::{Change, ChangeRequest, Verdict};

/// More time than nodes need to elect a leader, or to hear of each other's states.
const WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

async fn began(seed: u64, nodes: u64) -> Arc<World> {
    let world = Arc::new(World::new(&mut Fate::new(seed), nodes, Weakness::Nothing));
    world.found().await;
    sleep(WITHIN).await;
    world
}

/// Alters the digest of a node's state, as a wrongly applied entry would. The applied entries hide
/// nothing of it: a node knows its digest after each.
fn alter(world: &World, id: NodeId) {
    let node = world.node(id).unwrap();
    let tables = node.state.tables();
    let digest = state::digest(&node.state).unwrap();
    let other = Digest::from_number(digest.number().wrapping_add(1));
    let mut batch = tables.begin();
    batch.put(Table::Meta as usize, b"digest", codec::encode(Kind::Record, &other).unwrap()).unwrap();
    tables.commit(batch).unwrap();
}

async fn write(cluster: &Cluster, name: &str) -> Result<(), ClusterError> {
    let policy = Policy::streaming(PolicyName::new(name).unwrap());
    let condition = PolicyCondition::Always;
    let command = Command::PutPolicy { account: account(), policy: Box::new(policy), condition };
    cluster.propose(vec![command]).await.map(drop)
}

/// The nodes that stopped for good, by the signal and by the mark in their directory.
fn stopped(world: &World) -> BTreeSet<NodeId> {
    let ended = |id: &NodeId| {
        let node = world.node(*id).unwrap();
        let reason = node.local.fatal.subscribe().borrow().clone();
        if let Some(reason) = &reason {
            let mark = Divergence::read(&world.home(*id)).unwrap();
            assert_eq!(Some(reason), mark.as_ref().map(|mark| &mark.reason), "node {id}");
        }
        reason.is_some()
    };
    world.ids().into_iter().filter(|id| world.node(*id).is_some()).filter(ended).collect()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + WITHIN;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        sleep(LOOK_AGAIN).await;
    }
}

fn of(world: &World, id: NodeId) -> Cluster {
    world.clusters().into_iter().find(|cluster| cluster.node_id() == id).unwrap()
}

#[test]
fn whoever_is_not_with_the_majority_stops_for_good_and_the_others_go_on() {
    for (seed, altered) in [(1, 1), (2, 2), (3, 3)] {
        in_virtual_time(async {
            let world = began(seed, 3).await;
            alter(&world, altered);
            let other = of(&world, altered % 3 + 1);
            write(&other, "first").await.unwrap();
            until("the altered node stops", || !stopped(&world).is_empty()).await;
            assert_eq!(stopped(&world), BTreeSet::from([altered]), "seed {seed}");
            let mark = Divergence::read(&world.home(altered)).unwrap().unwrap();
            assert_eq!(
                mark.with_majority,
                [1, 2, 3].into_iter().filter(|id| *id != altered).collect::<Vec<_>>()
            );
            assert!(mark.reason.contains(&mark.own) && mark.reason.contains(&mark.majority), "{mark:?}");
            assert!(mark.reason.contains("keymoot cluster salvage"), "{mark:?}");
            world.stop(altered, Stop::Kill).await;
            sleep(WITHIN).await;
            for cluster in world.clusters() {
                write(&cluster, "after").await.unwrap();
                cluster.read_barrier().await.unwrap();
                let told = cluster.status().unwrap().node.refusals;
                assert!(told[&altered].contains("not that of the majority"), "{told:?}");
            }
            assert!(stopped(&world).is_empty());
        });
    }
}

/// Whether the node refuses writes and reads, and says why.
async fn refuses(cluster: &Cluster) -> bool {
    let write = write(cluster, "refused").await;
    let read = cluster.read_barrier().await;
    match (write, read) {
        (Err(ClusterError::Diverged(why)), Err(ClusterError::Diverged(_))) => {
            why.contains("no digest has a majority") && why.contains("after log entry")
        }
        _ => false,
    }
}

async fn all_refuse(world: &World) {
    let until = Instant::now() + WITHIN;
    for cluster in world.clusters() {
        while !refuses(&cluster).await {
            assert!(Instant::now() < until, "node {} accepts writes", cluster.node_id());
            sleep(LOOK_AGAIN).await;
        }
    }
    assert!(stopped(world).is_empty(), "a majority never stops");
}

#[test]
fn two_against_two_write_nothing_until_one_is_removed() {
    in_virtual_time(async {
        let world = began(4, 4).await;
        alter(&world, 1);
        alter(&world, 2);
        write(&of(&world, 3), "first").await.unwrap();
        all_refuse(&world).await;
        let request = ChangeRequest { change: Change::Remove(4), force: false, dry_run: false };
        let members = world.node(3).unwrap().members.clone();
        let plan = members.change_members(request, Instant::now() + WITHIN).await.unwrap();
        drop(members);
        assert_eq!(plan.verdict, Verdict::Ready);
        until("the removal decides", || stopped(&world).contains(&3)).await;
        world.stop(4, Stop::Kill).await;
        world.stop(3, Stop::Kill).await;
        sleep(WITHIN).await;
        write(&of(&world, 1), "after").await.unwrap();
        of(&world, 2).read_barrier().await.unwrap();
        assert!(stopped(&world).is_empty());
    });
}

#[test]
fn two_that_differ_while_the_third_is_away_wait_for_it() {
    in_virtual_time(async {
        let world = began(5, 3).await;
        let led = leader(&world).unwrap();
        let [altered, away] = [led % 3 + 1, (led + 1) % 3 + 1];
        world.stop(away, Stop::Kill).await;
        alter(&world, altered);
        write(&of(&world, led), "first").await.unwrap();
        all_refuse(&world).await;
        world.start(away).await;
        until("the third decides", || stopped(&world) == BTreeSet::from([altered])).await;
        world.stop(altered, Stop::Kill).await;
        sleep(WITHIN).await;
        write(&of(&world, away), "after").await.unwrap();
    });
}

#[test]
fn states_that_differ_one_by_one_stop_nobody_and_nothing_is_written() {
    in_virtual_time(async {
        let world = began(6, 3).await;
        alter(&world, 1);
        alter(&world, 2);
        alter(&world, 2);
        write(&of(&world, 3), "first").await.unwrap();
        all_refuse(&world).await;
    });
}
