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

#[test]
fn a_cluster_whose_nodes_all_moved_at_once_finds_itself_again_by_hints() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    ledger.enter(cluster.signer().create(cluster.node("a").api, "before").unwrap(), "a");
    for name in ["a", "b", "c"] {
        cluster.stop(name).unwrap();
    }
    let moved = ["p", "q", "r"].map(|name| cluster.add_node(name).unwrap().0.to_string());
    let hints = format!("[\"1={}\", \"2={}\", \"3={}\"]", moved[0], moved[1], moved[2]);
    for (name, address) in ["a", "b", "c"].iter().zip(&moved) {
        // As an operator does it: in the configuration of each node.
        let file = cluster.dir(name).join("keymoot.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let kept = text.lines().filter(|line| !line.starts_with("peer_hints"));
        let lines = kept.map(|line| match line.strip_prefix("peer_listen") {
            Some(_) => format!("peer_listen = \"{address}\"\npeer_hints = {hints}"),
            None => line.to_owned(),
        });
        std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
    // Until they have found each other, nobody is called silent who answers, or advised to be removed.
    cluster.serve("a").unwrap();
    let alone = cluster.cluster("a", &["status"]).unwrap();
    assert!(alone.code == Some(1) && !alone.out.contains("node 1 is silent"), "{alone:?}");
    cluster.serve("b").unwrap();
    cluster.serve("c").unwrap();
    for (id, address) in [1, 2, 3].iter().zip(&moved) {
        let is_it = |line: &str| line.starts_with(&id.to_string()) && line.ends_with(address.as_str());
        cluster.await_status("the new addresses", |table| table.lines().any(is_it)).unwrap();
    }
    cluster.await_voters("a", 3).unwrap();
    for name in ["a", "b", "c"] {
        ledger.enter(cluster.signer().create(cluster.node(name).api, name).unwrap(), name);
    }
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "b", "c"]));
}

#[test]
fn a_node_that_joined_with_a_wrong_address_is_found_once_its_configuration_is_right() {
    let mut cluster = Grown::begin("").unwrap();
    let (peer, _) = cluster.add_node("b").unwrap();
    let token = cluster.token("a", &[]).unwrap();
    let at = cluster.node("a").peer;
    // Nobody listens there.
    let wrong = cluster.add_node("nobody").unwrap().0.to_string();
    let joined = cluster.try_join("b", &token, at, &["--advertise", &wrong]).unwrap();
    assert_eq!(joined.code, Some(0), "{joined:?}");
    let file = cluster.dir("b").join("keymoot.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("peer_hints = [\"1={at}\"]")), "whom it asked is noted: {text}");
    std::fs::write(&file, text.replace(&format!("peer_advertise = \"{wrong}\"\n"), "")).unwrap();
    cluster.serve("b").unwrap();
    cluster.await_voters("a", 2).unwrap();
    let own = peer.to_string();
    cluster.await_status("its address to be right", |table| table.contains(&own)).unwrap();
    let key = cluster.signer().create(cluster.node("b").api, "film").unwrap();
    assert_eq!(cluster.signer().read(cluster.node("a").api, "film").unwrap(), key);
}

#[test]
fn an_address_that_was_committed_and_then_rolled_back_is_found_again() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    cluster.stop("c").unwrap();
    let (elsewhere, _) = cluster.add_node("ports").unwrap();
    let elsewhere = elsewhere.to_string();
    cluster.serve_with("c", &[("KEYMOOT__CLUSTER__PEER_LISTEN", elsewhere.as_str())]).unwrap();
    await_known(&cluster, 3, &elsewhere);
    // Back to the address of before, while the cluster knows it by the other one.
    cluster.stop("c").unwrap();
    cluster.serve("c").unwrap();
    let own = cluster.node("c").peer.to_string();
    await_known(&cluster, 3, &own);
    let key = cluster.signer().create(cluster.node("c").api, "film").unwrap();
    assert_eq!(cluster.signer().read(cluster.node("b").api, "film").unwrap(), key);
}
