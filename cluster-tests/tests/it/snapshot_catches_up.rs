//! A node that was away for longer than the log is kept catches up by snapshot, and serves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::wait::wait_until;
use cluster_tests::{Options, metrics, purge};

/// Longer than a log takes to be purged.
const WITHIN: Duration = Duration::from_secs(60);

/// Fast enough to fill the log between two snapshots while one is sent, and not ten times.
const WRITTEN_EVERY: Duration = Duration::from_millis(30);

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
        let purged = || purge::is_purged(api, last_known + 1.0);
        wait_until("a survivor to purge what the node lacks", WITHIN, purged).unwrap();
    }

    cluster.restart(away).unwrap();
    cluster.await_caught_up(away).unwrap();
    ledger.assert_kept(&signer, &[away_api]);
    ledger.enter(signer.create(away_api, "after.mp4").unwrap(), "the node, after");

    // What came by snapshot is on its disk too.
    cluster.kill(away).unwrap();
    cluster.restart(away).unwrap();
    ledger.assert_kept(&signer, &cluster.addresses());
}

#[test]
fn one_snapshot_is_enough_however_much_is_written_while_it_is_sent() {
    // It takes some ten seconds to send, in which the log would be cut again.
    let mut cluster = Options::default().envs(&purge::SLOW_SNAPSHOTS).start().unwrap();
    let signer = cluster.signer().clone();
    let leader = cluster.leader().unwrap();
    let away = cluster.others(leader)[0];
    let leader_api = cluster.node(leader).unwrap().api;
    let last_known = metrics::sample(cluster.node(away).unwrap().api, metrics::LAST_LOG_INDEX).unwrap();
    cluster.kill(away).unwrap();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let signer = &signer;
            scope.spawn(move || {
                for serial in 0..200 {
                    signer.create(leader_api, &format!("missed-{client}-{serial}.mp4")).unwrap();
                }
            });
        }
    });
    purge::write_until_purged(&signer, &[leader_api], "more", last_known + 1.0, WITHIN).unwrap();

    let stop = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                signer.create(leader_api, &format!("meanwhile-{written}.mp4")).unwrap();
                written += 1;
                std::thread::sleep(WRITTEN_EVERY);
            }
            written
        });
        cluster.restart(away).unwrap();
        let caught_up = cluster.await_caught_up(away);
        stop.store(true, Ordering::Relaxed);
        caught_up.unwrap();
        writer.join().unwrap()
    });
    assert!(written > 70, "only {written} were written meanwhile: the test proves nothing");
    let installed = cluster.said(away).unwrap().matches("snapshot installed").count();
    assert_eq!(installed, 1, "{written} were written meanwhile");

    // Afterwards the log is cut again.
    let purged = metrics::sample(leader_api, metrics::PURGED_INDEX).unwrap();
    purge::write_until_purged(&signer, &[leader_api], "afterwards", purged, WITHIN).unwrap();
}
