//! A recovered cluster grows again: the machine of a dead node, wiped, joins it with a token as a new node.

use cluster_tests::Grown;
use cluster_tests::ledger::Ledger;

#[test]
fn a_wiped_dead_node_joins_the_recovered_cluster_under_a_new_id() {
    let mut cluster = Grown::begin_three([""; 3], &[]).unwrap();
    let mut ledger = Ledger::default();
    for serial in 0..20 {
        let key = cluster.signer().create(cluster.node("c").api, &format!("kept-{serial}")).unwrap();
        ledger.enter(key, "before");
    }
    for name in ["a", "b", "c"] {
        cluster.kill(name).unwrap();
    }

    let config = cluster.config("c");
    cluster
        .must(&["cluster", "recover", "--config", &config, "--yes-the-others-are-stopped", "grown"])
        .unwrap();
    cluster.serve("c").unwrap();
    cluster.await_voters("c", 1).unwrap();
    let key = cluster.signer().create(cluster.node("c").api, "recovered").unwrap();
    ledger.enter(key, "after the recovery");

    // The machine of `a`, with nothing of what it had but the keyring, which an operator has anyway.
    for entry in std::fs::read_dir(cluster.dir("a")).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).unwrap(),
            false if path.ends_with("keyring.toml") => {}
            false => std::fs::remove_file(path).unwrap(),
        }
    }
    let token = cluster.token("c", &[]).unwrap();
    let said = cluster.try_join("a", &token, cluster.node("c").peer, &[]).unwrap();
    assert!(said.code == Some(0) && said.out.contains("node 4 joined"), "{said:?}");
    cluster.serve("a").unwrap();
    cluster.await_voters("c", 2).unwrap();
    let key = cluster.signer().create(cluster.node("a").api, "grown-again").unwrap();
    ledger.enter(key, "at the node that came back");
    ledger.assert_kept(&cluster.signer(), &cluster.apis(&["a", "c"]));
}
