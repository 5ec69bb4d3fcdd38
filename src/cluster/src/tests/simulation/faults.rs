//! Faults, drawn from the seed: one after another, sometimes two at a time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use keymoot_model::NodeId;

use super::disk::Stop;
use super::fate::Fate;
use super::network::{CALM, Weather};
use super::world::World;
use crate::wire::membership_change::{Change, ChangeRequest};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The leader, or another node, is cut off from all others.
    Isolated,
    /// Messages of one node do not reach another.
    OneWay,
    /// A minority is cut off from the majority.
    Halves,
    /// Frames take up to 120 ms.
    Slow,
    /// Frames and answers are lost, and proposals arrive twice.
    Lossy,
    /// A node is killed.
    Killed,
    /// All are killed at once.
    AllKilled,
    /// A node loses power.
    PowerCut,
    /// All lose power at once.
    AllPowerCut,
    /// Syncs of one node take up to 400 ms.
    SlowDisk,
    /// The leadership is transferred to another node.
    Transfer,
}

pub(crate) const ALL: [Fault; 11] = [
    Fault::Isolated,
    Fault::OneWay,
    Fault::Halves,
    Fault::Slow,
    Fault::Lossy,
    Fault::Killed,
    Fault::AllKilled,
    Fault::PowerCut,
    Fault::AllPowerCut,
    Fault::SlowDisk,
    Fault::Transfer,
];

/// Injects faults of the menu for this time, and heals each.
pub(crate) async fn rage(world: &World, menu: &[Fault], fate: &mut Fate, until: Instant) {
    while Instant::now() < until {
        sleep(Duration::from_millis(fate.between(100, 1000))).await;
        let (first, second) = (*fate.one_of(menu), *fate.one_of(menu));
        begin(world, first, fate).await;
        if fate.happens(300) {
            sleep(Duration::from_millis(fate.between(0, 300))).await;
            begin(world, second, fate).await;
        }
        sleep(Duration::from_millis(fate.between(200, 3000))).await;
        heal(world).await;
    }
}

/// Ends all faults and starts every node.
pub(crate) async fn heal(world: &World) {
    world.network.block([]);
    world.network.set_weather(CALM);
    for id in world.ids() {
        world.disk(id).set_sync_ms((0, 3));
        if world.node(id).is_none() {
            world.start(id).await;
        }
    }
}

async fn begin(world: &World, fault: Fault, fate: &mut Fate) {
    let ids = world.ids();
    let victim = if fate.happens(500) { leader(world) } else { None };
    let victim = victim.unwrap_or(*fate.one_of(&ids));
    let other = *fate.one_of(&ids);
    match fault {
        Fault::Isolated => world.network.block(between(&[victim], &ids)),
        Fault::OneWay => world.network.block([(victim, other)]),
        Fault::Halves => {
            let few = (ids.len() - 1) / 2;
            let start = fate.between(0, ids.len() as u64 - 1) as usize;
            let minority: Vec<NodeId> = ids.iter().cycle().skip(start).take(few).copied().collect();
            world.network.block(between(&minority, &ids));
        }
        Fault::Slow => world.network.set_weather(Weather { delay_ms: (5, 120), ..CALM }),
        Fault::Lossy => world.network.set_weather(Weather {
            delay_ms: (0, 10),
            lost_per_mille: 20,
            last_per_mille: 20,
            copied_per_mille: 300,
        }),
        Fault::Killed => world.stop(victim, Stop::Kill).await,
        Fault::PowerCut => world.stop(victim, Stop::PowerCut).await,
        Fault::AllKilled => stop_all(world, Stop::Kill).await,
        Fault::AllPowerCut => stop_all(world, Stop::PowerCut).await,
        Fault::SlowDisk => world.disk(victim).set_sync_ms((20, 400)),
        Fault::Transfer => {
            if let Some(node) = world.node(victim) {
                let change = Change::TransferLeader(Some(other));
                let request = ChangeRequest { change, force: false, dry_run: false };
                let _ = node.members.change_members(request, Instant::now() + Duration::from_secs(2)).await;
            }
        }
    }
}

async fn stop_all(world: &World, how: Stop) {
    futures::future::join_all(world.ids().into_iter().map(|id| world.stop(id, how))).await;
}

/// The leader, if any node reports one.
pub(crate) fn leader(world: &World) -> Option<NodeId> {
    use openraft::async_runtime::watch::WatchReceiver as _;
    let leads = |node: &std::sync::Arc<crate::node::Node>| {
        node.raft.metrics().borrow_watched().state == openraft::ServerState::Leader
    };
    world.nodes().into_iter().find(leads).map(|node| node.id)
}

/// All directed pairs between these nodes and the rest.
fn between(some: &[NodeId], all: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let rest = all.iter().filter(|id| !some.contains(id));
    rest.flat_map(|one| some.iter().flat_map(|other| [(*one, *other), (*other, *one)])).collect()
}
