//! Restarting the whole cluster under load, node by node, costs no key, no error answer and hardly time.

use std::time::Duration;

use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, KeyAnswer, Options, RigError, drill, metrics, process, raw, stats};
use rustix::process::Signal;

#[test]
fn every_node_may_be_restarted_in_turn_and_nobody_notices() {
    let mut cluster = Cluster::start().unwrap();
    let plan = drill::Plan {
        manner: drill::Manner::RollingRestart(1),
        calm: Duration::from_secs(1),
        ..drill::Plan::default()
    };
    let report = drill::run(&mut cluster, plan).unwrap();

    let refusals: Vec<&str> = report.record.refusals.iter().map(|r| r.text.as_str()).take(5).collect();
    assert!(refusals.is_empty(), "a request was answered with an error: {refusals:#?}");
    assert!(report.record.ledger.len() > 100, "only {} contents were created", report.record.ledger.len());
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(report.outages.iter().any(|outage| outage.led), "no leader was among them");
    let gaps_ms: Vec<f64> = report
        .outages
        .iter()
        .filter_map(|outage| report.gap(*outage))
        .map(|gap| gap.as_secs_f64() * 1000.0)
        .collect();
    println!("longest ms without an answer while each node was away: {gaps_ms:.0?}");
    assert!(stats::median(&gaps_ms) <= 250.0, "{gaps_ms:.0?}");
}

#[test]
fn a_node_that_stops_answers_packagers_that_wait_as_it_does_everybody_else() {
    let mut cluster = Options::default()
        .env("KEYMOOT__PACKAGER__LISTEN", "127.0.0.1:0")
        .env("KEYMOOT__PACKAGER__ALLOW_LIST", "127.0.0.1/32")
        .env("KEYMOOT__PACKAGER__ACCOUNTS", "437=demo")
        .env("KEYMOOT__CLUSTER__REQUEST_DEADLINE_MS", "50000")
        .env("KEYMOOT__HTTP__DRAIN_TIMEOUT_MS", "55000")
        .start()
        .unwrap();
    // One that has no leadership to transfer, so that nothing else keeps it.
    let node = cluster.others(cluster.leader().unwrap())[0];
    let listener = cluster.node(node).unwrap().packager_listener().unwrap();
    for other in cluster.others(node) {
        cluster.kill(other).unwrap();
    }
    // It waits for a quorum, and then for nothing else.
    let waiting = std::thread::spawn(move || {
        let path = "/system/ovp/edash/p/437/sp/43700/entryId/waits/flavorId/a";
        raw::exchange(listener, &raw::request("GET", path, &[], &[]), Duration::from_secs(60))
    });
    let api = cluster.node(node).unwrap().api;
    wait_until("the packager to wait", Duration::from_secs(10), || {
        // This question is one of them.
        match metrics::sample(api, "keymoot_http_requests_in_flight")? {
            requests if requests > 1.5 => Ok(()),
            requests => Err(RigError::Answer(format!("{requests} requests are being answered"))),
        }
    })
    .unwrap();
    process::signal(cluster.node(node).unwrap().pid, Signal::TERM, &cluster.dir()).unwrap();
    wait_until("the node to begin to stop", Duration::from_secs(10), || {
        let begun = cluster.node(node)?.log()?.contains("stopping: leadership is transferred");
        begun.then_some(()).ok_or_else(|| RigError::Answer("it does not say so".to_owned()))
    })
    .unwrap();
    let back = cluster.others(node)[0];
    cluster.restart(back).unwrap();
    let key = KeyAnswer::from_answer(&waiting.join().unwrap().unwrap()).unwrap();
    wait_until("the node to end", Duration::from_secs(20), || {
        let runs = process::is_ours(cluster.node(node).unwrap().pid, &cluster.dir());
        (!runs).then_some(()).ok_or_else(|| RigError::Answer("it still runs".to_owned()))
    })
    .unwrap();
    cluster.restart(node).unwrap();
    cluster.leader().unwrap();
    let signer = cluster.signer();
    assert_eq!(signer.create(cluster.node(back).unwrap().api, "waits").unwrap().key, key.key);
}
