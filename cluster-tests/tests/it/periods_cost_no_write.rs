//! Coming crypto periods cost arithmetic, not consensus, and every node knows the same keys.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use cluster_tests::wait::wait_until;
use cluster_tests::widevine::{self, ACCOUNT};
use cluster_tests::{Cluster, RigError};
use serde_json::Value;

const PERIODS: u32 = 10_000;
const AUDIT_ENTRIES_MAX: u64 = 60;
const WITHIN: Duration = Duration::from_secs(90);

/// The last entry that the leader has applied, as it says itself: a gauge would follow it later.
fn applied(cluster: &Cluster, leader: u64) -> Result<u64, RigError> {
    let said = cluster.operate(leader, &["status", "--output", "json"])?;
    let status: Value =
        serde_json::from_str(&said.out).map_err(|_| RigError::Answer(format!("no status: {said:?}")))?;
    let members = status["members"].as_array().cloned().unwrap_or_default();
    let own = members.iter().find(|member| member["id"] == leader);
    let index = own.and_then(|member| member["status"]["applied_index"].as_u64());
    index.ok_or_else(|| RigError::Answer(format!("the leader does not say how far it is: {said:?}")))
}

#[test]
fn ten_thousand_coming_periods_cost_no_log_entry_each_and_less_than_a_second() {
    let cluster = Cluster::start().unwrap();
    widevine::add_account(&cluster).unwrap();
    let nodes = cluster.addresses();
    let first = widevine::rotating("live", &["SD"], 10, 0, 1);
    assert_eq!(widevine::ask(nodes[0], ACCOUNT, &first).unwrap().status, "OK");
    let leader = cluster.leader().unwrap();
    let mut firsts = (1..).step_by(PERIODS as usize);
    let (first, coming, took) = wait_until("nothing but the mark to be logged", WITHIN, || {
        let first = firsts.next().unwrap_or_default();
        let before = applied(&cluster, leader)?;
        let began = Instant::now();
        let inner = widevine::rotating("live", &["SD"], 10, first, PERIODS);
        let coming = widevine::ask(nodes[1], ACCOUNT, &inner)?;
        let took = began.elapsed();
        // An entry of its own, behind whatever else was proposed at that node.
        cluster.signer().create(nodes[1], &format!("mark-{first}"))?;
        // A new cluster has a few entries of its own to write, and then no more than how far its audit has grown, which
        // three nodes tell and cosign every two seconds.
        match applied(&cluster, leader)? - before {
            1..=AUDIT_ENTRIES_MAX => Ok((first, coming, took)),
            entries => Err(RigError::Answer(format!("the log grew by {entries} entries"))),
        }
    })
    .unwrap();
    assert_eq!((coming.status.as_str(), coming.tracks.len()), ("OK", PERIODS as usize));
    // A build for tests is not optimised, and says little about time.
    let within = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    assert!(took < within, "it took {took:?}");

    let kids: HashSet<&str> = coming.tracks.iter().map(|key| key.key_id.as_str()).collect();
    assert_eq!(kids.len(), PERIODS as usize, "two periods share a key id");
    let indexes: Vec<u32> = coming.tracks.iter().filter_map(|key| key.crypto_period_index).collect();
    assert_eq!(indexes, (first..first + PERIODS).collect::<Vec<_>>());
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
