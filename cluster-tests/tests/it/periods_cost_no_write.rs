//! Coming crypto periods cost arithmetic, not consensus, and every node knows the same keys.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use cluster_tests::widevine::{self, ACCOUNT};
use cluster_tests::{Cluster, metrics};

#[test]
fn ten_thousand_coming_periods_cost_no_log_entry_and_less_than_a_second() {
    let cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let nodes = cluster.addresses();
    let first = widevine::rotating("live", &["SD"], 10, 0, 1);
    assert_eq!(widevine::ask(nodes[0], ACCOUNT, &first).unwrap().status, "OK");
    let leader = cluster.node(cluster.leader().unwrap()).unwrap().api;
    let index = || metrics::sample(leader, metrics::LAST_LOG_INDEX).unwrap();
    // The gauge follows the log by up to half a second.
    std::thread::sleep(Duration::from_millis(1500));

    let before = index();
    let began = Instant::now();
    let coming =
        widevine::ask(nodes[1], ACCOUNT, &widevine::rotating("live", &["SD"], 10, 1, 10_000)).unwrap();
    let took = began.elapsed();
    assert_eq!((coming.status.as_str(), coming.tracks.len()), ("OK", 10_000));
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(index(), before, "the log grew");
    // A build for tests is not optimised, and says little about time.
    let within = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    assert!(took < within, "it took {took:?}");

    let kids: HashSet<&str> = coming.tracks.iter().map(|key| key.key_id.as_str()).collect();
    assert_eq!(kids.len(), 10_000, "two periods share a key id");
    let indexes: Vec<u32> = coming.tracks.iter().filter_map(|key| key.crypto_period_index).collect();
    assert_eq!(indexes, (1..=10_000).collect::<Vec<_>>());
}

#[test]
fn every_node_turns_a_period_into_the_same_key_and_a_key_id_back_into_it() {
    let mut cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let ask = |node, inner: &_| widevine::ask(node, ACCOUNT, inner).unwrap();
    let inner = widevine::rotating("live", &["SD", "AUDIO"], 6, 100, 5);
    let nodes = cluster.addresses();
    let answers: Vec<_> = nodes.iter().map(|node| ask(*node, &inner).tracks).collect();
    assert_eq!(answers[0].len(), 10);
    assert!(answers.iter().all(|answer| *answer == answers[0]));

    let leader = cluster.leader().unwrap();
    cluster.kill(leader).unwrap();
    for survivor in cluster.others(leader) {
        let node = cluster.node(survivor).unwrap().api;
        assert_eq!(ask(node, &inner).tracks, answers[0]);
        for known in &answers[0] {
            let found = ask(node, &widevine::lookup(&known.key_id).unwrap());
            assert_eq!(found.tracks, std::slice::from_ref(known));
        }
        assert_eq!(
            ask(node, &widevine::lookup("AAAAAAAAAAAAAAAAAAAAAA==").unwrap()).status,
            "ASSET_NOT_FOUND"
        );
    }
}
