//! A voter that starts again with a node that lacks its acknowledged entries, after its disk was
//! emptied or set back to an older copy.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use keymoot_model::PolicyName;
use keymoot_state as state;

use super::clients::{Clients, account};
use super::disk::Stop;
use super::fate::Fate;
use super::faults::leader;
use super::run::{Weakness, in_virtual_time};
use super::world::World;

/// More time than running nodes need to meet, to elect a leader, or to hear that they are refused.
const WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What happens to the disk of a voter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Emptied,
    /// It is as it was before its last start.
    SetBack,
}

/// Nodes 1 and 2 acknowledge a change while 3 is away; 2 loses it and starts with 3 alone. Node 1
/// joins them unless they make progress without it. Returns the version of the changed policy on
/// node 3.
async fn version_after(loss: Loss, seed: u64, weakness: Weakness) -> Option<u64> {
    let world = Arc::new(World::new(&mut Fate::new(seed), 3, weakness));
    let clients = Clients::new(world.clone(), false);
    let name = PolicyName::new("acknowledged").unwrap();
    world.found().await;
    sleep(WITHIN).await;
    world.stop(2, Stop::Kill).await;
    let copy = world.copy(2);
    world.start(2).await;
    sleep(WITHIN).await;
    world.stop(3, Stop::Kill).await;
    sleep(WITHIN).await;
    let led = world.clusters().into_iter().next().unwrap();
    assert!(clients.change_policy(&led, &name, 0).await.is_some(), "two of three are a quorum");
    drop(led);
    world.stop(1, Stop::Kill).await;
    world.stop(2, Stop::Kill).await;
    match loss {
        Loss::Emptied => world.empty(2),
        Loss::SetBack => world.put_back(2, copy),
    }
    world.start(3).await;
    world.start(2).await;

    let until = Instant::now() + WITHIN;
    loop {
        assert!(Instant::now() < until, "the voter neither ended nor took part");
        if leader(&world).is_some() {
            break;
        }
        let ended = world.node(2).is_some_and(|node| node.local.fatal.subscribe().borrow().is_some());
        if ended {
            world.stop(2, Stop::Kill).await;
            world.start(1).await;
            break;
        }
        sleep(LOOK_AGAIN).await;
    }
    let third = world.clusters().into_iter().find(|cluster| cluster.node_id() == 3).unwrap();
    let until = Instant::now() + WITHIN;
    while third.read_barrier().await.is_err() {
        assert!(Instant::now() < until, "node 3 answers no reads");
        sleep(LOOK_AGAIN).await;
    }
    state::policy(third.state(), &account(), &name).unwrap().map(|record| record.version)
}

#[test]
fn a_voter_that_lost_its_disk_costs_nothing_that_was_acknowledged() {
    for (loss, seed) in [Loss::Emptied, Loss::SetBack].into_iter().flat_map(|loss| [(loss, 1), (loss, 2)]) {
        let version = in_virtual_time(version_after(loss, seed, Weakness::Nothing));
        assert_eq!(version, Some(1), "seed {seed}");
    }
}

#[test]
fn directories_that_nobody_remembers_are_noticed() {
    let version = in_virtual_time(version_after(Loss::Emptied, 1, Weakness::ForgottenDirectories));
    assert_eq!(version, None, "an emptied voter was missed by its peers");
}

#[test]
fn starts_that_nobody_remembers_are_noticed() {
    let version = in_virtual_time(version_after(Loss::SetBack, 1, Weakness::ForgottenStarts));
    assert_eq!(version, None, "a voter that was set back was missed by its peers");
}
