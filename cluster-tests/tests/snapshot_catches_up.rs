//! A node that was away for longer than the log is kept catches up by snapshot, and serves.

use cluster_tests::ledger::Ledger;
use cluster_tests::wait::wait_until;
use cluster_tests::{Options, RigError, metrics};
use std::time::Duration;

#[test]
fn a_node_whose_missing_entries_are_purged_catches_up_and_serves() {
    let mut cluster = Options::default()
        .env("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "50")
        .env("KEYMOOT__RAFT__LOG_KEEP_ENTRIES", "10")
        .start()
        .unwrap();
    let signer = cluster.signer().clone();
    let leader = cluster.leader().unwrap();
    let away = cluster.others(leader)[0];
    let away_api = cluster.node(away).unwrap().api;
    let leader_api = cluster.node(leader).unwrap().api;
    let mut ledger = Ledger::default();

    ledger.enter(signer.create(away_api, "before.mp4").unwrap(), "the node, before");
    let last_known = metrics::sample(away_api, metrics::LAST_LOG_INDEX).unwrap();
    cluster.kill(away).unwrap();
    for serial in 0..400 {
        ledger.enter(signer.create(leader_api, &format!("missed-{serial}.mp4")).unwrap(), "the leader");
    }
    // Every survivor must have forgotten what the node lacks: any of them may lead when it returns.
    for survivor in cluster.others(away) {
        let api = cluster.node(survivor).unwrap().api;
        wait_until("a survivor to purge what the node lacks", Duration::from_secs(30), || {
            match metrics::sample(api, metrics::PURGED_INDEX)? {
                purged if purged > last_known + 1.0 => Ok(()),
                purged => Err(RigError::Answer(format!("purged up to {purged} of {last_known}"))),
            }
        })
        .unwrap();
    }

    cluster.restart(away).unwrap();
    cluster.await_caught_up(away).unwrap();
    let findings = ledger.audit(&signer, &[away_api]).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
    ledger.enter(signer.create(away_api, "after.mp4").unwrap(), "the node, after");

    // What came by snapshot is on its disk too.
    cluster.kill(away).unwrap();
    cluster.restart(away).unwrap();
    let findings = ledger.audit(&signer, &cluster.addresses()).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
}
