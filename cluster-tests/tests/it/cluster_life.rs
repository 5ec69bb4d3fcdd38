//! A cluster begins with one node, grows by tokens at any member, loses nodes for ever and forgets nothing.

use std::time::Duration;

use cluster_tests::Grown;
use cluster_tests::ledger::Ledger;

/// Longer than a node needs to hear that it was removed.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

fn write(cluster: &Grown, ledger: &mut Ledger, at: &str, from: usize) {
    for serial in from..from + 20 {
        let key = cluster.signer().create(cluster.node(at).api, &format!("film-{serial}")).unwrap();
        ledger.enter(key, at);
    }
}

#[test]
fn a_cluster_grows_loses_its_leader_for_ever_and_grows_again() {
    let mut cluster = Grown::begin("west").unwrap();
    let mut ledger = Ledger::default();
    write(&cluster, &mut ledger, "a", 0);
    cluster.join("b", "a", "east", &[]).unwrap();
    // No node is special: the third one joins at the second.
    cluster.join("c", "b", "north", &[]).unwrap();
    cluster.await_voters("c", 3).unwrap();
    assert!(!cluster.dir("a").join("ca-key.pem").exists(), "the authority's key stayed on the first node");
    write(&cluster, &mut ledger, "c", 20);
    let status = cluster.status("b").unwrap();
    assert_eq!(status["health"], "healthy", "{status:#}");
    assert_eq!(status["advice"].as_array().unwrap().len(), 0, "{status:#}");
    assert_eq!(status["members"][2]["zone"], "north");
    let leader = status["leader"].as_u64().unwrap();
    assert_eq!(leader, 1, "the founder leads until it is told otherwise");

    // The leader is removed, at a follower: it transfers its leadership, leaves, and says so.
    let removed = cluster.cluster("c", &["remove", "1", "--yes"]).unwrap();
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert!(removed.out.contains("transfers the leadership first"), "{removed:?}");
    assert_eq!(cluster.await_end("a", TOLD_WITHIN).unwrap().code(), Some(1));
    let told = "node 1 was removed from cluster grown; its machine can come back under a new id: keymoot cluster replace-disk";
    assert!(cluster.log("a").contains(told), "{}", cluster.log("a"));
    write(&cluster, &mut ledger, "b", 40);
    // It fails again when it is started again, and changes nothing.
    cluster.serve_with("a", &[]).unwrap();
    assert_eq!(cluster.await_end("a", TOLD_WITHIN).unwrap().code(), Some(1));
    let log = cluster.log("a");
    // What the program says as its last word: the log may name the reason of a broken link, too.
    let last_words = log.lines().filter(|line| line.starts_with(&format!("keymoot: {told}"))).count();
    assert_eq!(last_words, 2, "{log}");

    // Its id is not given again: neither to a new node nor to the same machine, wiped.
    cluster.join("d", "b", "west", &[]).unwrap();
    cluster.await_voters("b", 3).unwrap();
    let ids: Vec<u64> = cluster.status("d").unwrap()["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [2, 3, 4]);
    let again = cluster.cluster("d", &["promote", "1", "--yes"]).unwrap();
    assert!(again.code == Some(1) && again.err.contains("ids are not used again"), "{again:?}");

    write(&cluster, &mut ledger, "d", 60);
    assert_eq!(ledger.len(), 80);
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["b", "c", "d"]));
}
