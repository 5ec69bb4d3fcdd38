//! Killing the leader under load costs no key, no second key and no error answer, and little time.

use std::time::Duration;

use cluster_tests::{Cluster, drill, stats};

#[test]
fn the_leader_may_be_killed_again_and_again_and_nobody_is_told_an_error() {
    let mut cluster = Cluster::start().unwrap();
    let report = drill::run(
        &mut cluster,
        drill::Plan {
            manner: drill::Manner::LeaderKilled(3),
            calm: Duration::from_secs(1),
            ..drill::Plan::default()
        },
    )
    .unwrap();

    let refusals: Vec<&str> = report.record.refusals.iter().map(|r| r.text.as_str()).take(5).collect();
    assert!(refusals.is_empty(), "a request was answered with an error: {refusals:#?}");
    assert!(report.record.ledger.len() > 100, "only {} contents were created", report.record.ledger.len());
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    let gaps_ms: Vec<f64> = report
        .outages
        .iter()
        .map(|outage| report.gap(*outage).expect("the drill waits for it").as_secs_f64() * 1000.0)
        .collect();
    println!("ms from kill to the first answer: {gaps_ms:.0?}, median {:.0}", stats::median(&gaps_ms));
    assert!(stats::median(&gaps_ms) <= 2000.0, "{gaps_ms:.0?}");
}
