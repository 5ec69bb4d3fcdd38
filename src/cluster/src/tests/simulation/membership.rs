//! Membership changes after a loss, and how long they take.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::disk::Stop;
use super::fate::Fate;
use super::faults::leader;
use super::run::{Weakness, in_virtual_time};
use super::world::World;
use crate::node::Node;
use crate::wire::membership_change::{Change, ChangePlan, ChangeRequest, Verdict};

async fn remove(node: &Node, id: u64, dry_run: bool) -> ChangePlan {
    let request = ChangeRequest { change: Change::Remove(id), force: false, dry_run };
    node.members.change_members(request, Instant::now() + Duration::from_secs(10)).await.unwrap()
}

#[test]
fn a_leader_that_died_is_waited_for_once_and_then_removed_at_once() {
    in_virtual_time(async {
        let world = World::new(&mut Fate::new(1), 5, Weakness::Nothing);
        world.found().await;
        while leader(&world).is_none() {
            sleep(Duration::from_millis(100)).await;
        }
        sleep(Duration::from_secs(10)).await;
        let dead = leader(&world).unwrap();
        world.stop(dead, Stop::PowerCut).await;
        let node = world.nodes().remove(0);

        assert_eq!(remove(&node, dead, true).await.verdict, Verdict::Ready);
        let began = Instant::now();
        assert_eq!(remove(&node, dead, false).await.verdict, Verdict::Ready);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert!(!node.members.membership().nodes().any(|(id, _)| *id == dead));
    });
}
