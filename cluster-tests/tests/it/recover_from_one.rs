//! With two of three nodes gone for ever, the third is made a cluster of its own with every key it has, and a
//! dead node that comes back is refused and says so.

use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError, license, metrics, operator};

#[test]
fn a_survivor_is_recovered_and_the_dead_cannot_come_back_into_it() {
    let mut cluster = Cluster::start().unwrap();
    let signer = cluster.signer().clone();
    let mut ledger = Ledger::default();
    for (serial, node) in (0..60).zip(cluster.addresses().iter().cycle()) {
        ledger.enter(signer.create(*node, &format!("kept-{serial}.mp4")).unwrap(), "before");
    }
    let (local, _) = license::add_account(&cluster, "local", &["--consistency", "local"]).unwrap();
    let known = local.create(cluster.nodes()[0].api, "known-everywhere.mp4").unwrap();
    let leader = cluster.leader().unwrap();
    let (survivor, other) = (cluster.others(leader)[0], cluster.others(leader)[1]);
    cluster.await_caught_up(survivor).unwrap();
    cluster.kill(leader).unwrap();
    cluster.kill(other).unwrap();
    // Without a quorum, an account that reads locally still gets its keys.
    let api = cluster.node(survivor).unwrap().api;
    assert_eq!(local.read(api, "known-everywhere.mp4").unwrap(), known);
    let own = cluster.node(survivor).unwrap().config();
    let recover = |arguments: &[&str]| {
        operator::keymoot(&[&["cluster", "recover", "--config", &own], arguments].concat()).unwrap()
    };

    // Not while it runs, not without a word, and not with the wrong one.
    let running = recover(&["--inspect"]);
    assert!(running.code == Some(1) && running.err.contains("in use by another process"), "{running:?}");
    cluster.kill(survivor).unwrap();
    let inspected = recover(&["--inspect", "--output", "json"]).succeeded().unwrap();
    assert!(inspected.contains("\"voters\"") && inspected.contains("\"term\""), "{inspected}");
    let silent = recover(&[]);
    assert!(silent.code == Some(64) && silent.err.contains("--yes-the-others-are-stopped"), "{silent:?}");
    assert_eq!(recover(&["--yes-the-others-are-stopped", "prod"]).code, Some(64));
    let said = recover(&["--yes-the-others-are-stopped", "dev"]).succeeded().unwrap();
    assert!(said.contains("is the only member now"), "{said}");
    assert!(said.contains("before-recovery-"), "{said}");

    cluster.restart(survivor).unwrap();
    wait_until("the survivor to lead", Duration::from_secs(30), || {
        match metrics::sample(api, metrics::IS_LEADER)? > 0.5 {
            true => Ok(()),
            false => Err(RigError::Answer("it does not lead".to_owned())),
        }
    })
    .unwrap();
    ledger.assert_kept(&signer, &[api]);
    ledger.enter(signer.create(api, "after.mp4").unwrap(), "after");

    // A dead node comes back with its old data: it tries to be elected, and is told off.
    cluster.restart(other).unwrap();
    wait_until("the dead node to say that it is refused", Duration::from_secs(30), || {
        let said = cluster.operate(other, &["status"])?.out;
        let told = format!("node {other} belongs to the cluster before it was recovered or restored");
        match said.contains(&told) && said.contains("it belongs to the cluster before") {
            true => Ok(()),
            false => Err(RigError::Answer(said)),
        }
    })
    .unwrap();
    assert_eq!(metrics::sample(cluster.node(other).unwrap().api, metrics::IS_LEADER).unwrap(), 0.0);
    ledger.assert_kept(&signer, &[api]);

    // Both dead nodes are a majority of the old cluster: between them they may elect, and still never
    // reach the recovered one.
    cluster.restart(leader).unwrap();
    ledger.enter(signer.create(api, "with-both-back.mp4").unwrap(), "after");
    ledger.assert_kept(&signer, &[api]);

    // Once they are stopped for good, the recovery is over, without a restart of the survivor.
    let refuses =
        |cluster: &Cluster| cluster.operate(survivor, &["status"]).unwrap().out.contains("refuses node");
    assert!(refuses(&cluster), "they try all the time");
    cluster.kill(other).unwrap();
    cluster.kill(leader).unwrap();
    wait_until("the survivor to forget them", Duration::from_secs(60), || match refuses(&cluster) {
        false => Ok(()),
        true => Err(RigError::Answer("it still refuses them".to_owned())),
    })
    .unwrap();
}
