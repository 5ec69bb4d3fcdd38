//! A node is its id and its certificate: started at another address, it tells the cluster by itself.

use cluster_tests::Grown;
use cluster_tests::ledger::Ledger;

/// Waits until a follower is known by this address, and votes.
fn await_known(cluster: &Grown, id: u64, address: &str) {
    let is_it = |line: &str| {
        line.starts_with(&id.to_string()) && line.contains("follower") && line.ends_with(address)
    };
    cluster.await_status("the new address to be known", |table| table.lines().any(is_it)).unwrap();
    cluster.await_voters("a", 3).unwrap();
}

#[test]
fn a_node_that_moved_is_found_again_and_one_can_be_moved_by_hand() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    ledger.enter(cluster.signer().create(cluster.node("c").api, "before").unwrap(), "c");

    cluster.stop("c").unwrap();
    let (elsewhere, _) = cluster.add_node("ports").unwrap();
    let elsewhere = elsewhere.to_string();
    let env = [("KEYMOOT__CLUSTER__PEER_LISTEN", elsewhere.as_str())];
    cluster.serve_with("c", &env).unwrap();
    await_known(&cluster, 3, &elsewhere);
    ledger.enter(cluster.signer().create(cluster.node("c").api, "after").unwrap(), "c");

    // By hand, while it is down: a name in place of the number, which it says itself from now on.
    let name = cluster.node("b").peer.to_string().replace("127.0.0.1", "localhost");
    cluster.stop("b").unwrap();
    let said = cluster.cluster("a", &["address", "2", &name, "--yes"]).unwrap();
    assert!(said.code == Some(0) && said.out.contains(&format!("node 2 is reached at {name}")), "{said:?}");
    cluster.serve_with("b", &[("KEYMOOT__CLUSTER__PEER_ADVERTISE", name.as_str())]).unwrap();
    await_known(&cluster, 2, &name);
    ledger.enter(cluster.signer().create(cluster.node("b").api, "by-name").unwrap(), "b");

    // What it refuses.
    let by_name = elsewhere.replace("127.0.0.1", "localhost");
    let said = cluster.cluster("b", &["address", "2", &by_name]).unwrap();
    assert_eq!(said.code, Some(64), "without a terminal it must not go on: {said:?}");
    let wrong = cluster.cluster("b", &["address", "9", &by_name, "--yes"]).unwrap();
    assert!(wrong.code == Some(1) && wrong.err.contains("there is no node 9"), "{wrong:?}");
    let same = cluster.cluster("b", &["address", "3", &elsewhere, "--yes"]).unwrap();
    assert!(same.code == Some(0) && same.out.contains("nothing to change"), "{same:?}");
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}
