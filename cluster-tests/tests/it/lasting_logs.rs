//! A condition that lasts has a line in the log when it begins and one a minute, and no flood.

use std::time::Duration;

use cluster_tests::wait::{self, wait_until};
use cluster_tests::{Cluster, RigError};

/// How long the dead node is away. Nine lines a second were logged of one.
const AWAY: Duration = Duration::from_secs(20);
/// More lines than a change of leaders and each kind of complaint make in that time.
const LINES_MAX: usize = 40;

#[test]
fn a_dead_peer_is_named_and_does_not_fill_the_log() {
    let mut cluster = Cluster::start().unwrap();
    cluster.do_without_dev().unwrap();
    let leader = cluster.leader().unwrap();
    let dead = cluster.others(leader)[0];
    let lines = |cluster: &Cluster| cluster.said(leader).unwrap().lines().count();
    let before = lines(&cluster);
    cluster.kill(dead).unwrap();
    // The lines of this time are counted, so it must pass.
    wait::pause(AWAY).unwrap();
    let said = cluster.said(leader).unwrap();
    let since: Vec<&str> = said.lines().skip(before).collect();
    println!("{} lines in {AWAY:?}", since.len());
    assert!(since.len() <= LINES_MAX, "{} lines in {AWAY:?}:\n{}", since.len(), since.join("\n"));
    let about =
        |line: &&&str| line.contains("a peer cannot be reached") && line.contains(&format!("peer={dead}"));
    assert_eq!(since.iter().filter(about).count(), 1, "{}", since.join("\n"));
    cluster.restart(dead).unwrap();
    wait_until("the leader to say that it is back", Duration::from_secs(30), || {
        match cluster.said(leader)?.contains("a peer is reached again") {
            true => Ok(()),
            false => Err(RigError::Answer("it does not".to_owned())),
        }
    })
    .unwrap();
}
