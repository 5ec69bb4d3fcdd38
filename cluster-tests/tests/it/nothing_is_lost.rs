//! What was acknowledged is there after any restart: of one node, of all, in order or by `kill -9`.

use cluster_tests::Cluster;
use cluster_tests::ledger::Ledger;

/// Creates `count` contents, at each node in turn.
fn create(cluster: &Cluster, ledger: &mut Ledger, when: &str, count: usize) {
    let nodes = cluster.addresses();
    for (serial, node) in (0..count).zip(nodes.iter().cycle()) {
        let key = cluster.signer().create(*node, &format!("{when}-{serial}.mp4")).unwrap();
        ledger.enter(key, when);
    }
}

#[test]
fn a_restart_of_each_node_in_turn_loses_nothing() {
    let (mut cluster, mut ledger) = (Cluster::start().unwrap(), Ledger::default());
    create(&cluster, &mut ledger, "before", 30);
    let ids: Vec<u64> = cluster.nodes().iter().map(|node| node.id).collect();
    for id in ids {
        cluster.stop(id).unwrap();
        let survivor = cluster.node(cluster.others(id)[0]).unwrap().api;
        let key = cluster.signer().create(survivor, &format!("without-{id}.mp4")).unwrap();
        ledger.enter(key, "a survivor");
        cluster.restart(id).unwrap();
        cluster.await_caught_up(id).unwrap();
        ledger.assert_kept(cluster.signer(), &cluster.addresses());
    }
}

#[test]
fn a_restart_of_all_nodes_loses_nothing() {
    let (mut cluster, mut ledger) = (Cluster::start().unwrap(), Ledger::default());
    create(&cluster, &mut ledger, "before", 30);
    for id in [1, 2, 3] {
        cluster.stop(id).unwrap();
    }
    cluster.restart_all().unwrap();
    ledger.assert_kept(cluster.signer(), &cluster.addresses());
    create(&cluster, &mut ledger, "after", 10);
    ledger.assert_kept(cluster.signer(), &cluster.addresses());
}

#[test]
fn killing_all_nodes_at_once_loses_nothing() {
    let (mut cluster, mut ledger) = (Cluster::start().unwrap(), Ledger::default());
    for round in 0..2 {
        create(&cluster, &mut ledger, &format!("round-{round}"), 30);
        // The last acknowledgement came microseconds ago: nothing but the log can hold it.
        cluster.kill_all().unwrap();
        cluster.restart_all().unwrap();
        ledger.assert_kept(cluster.signer(), &cluster.addresses());
    }
}
