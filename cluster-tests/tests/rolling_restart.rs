//! Restarting the whole cluster under load, node by node, costs no key, no error answer and hardly time.

use cluster_tests::{Cluster, drill, stats};

#[test]
fn every_node_may_be_restarted_in_turn_and_nobody_notices() {
    let mut cluster = Cluster::start().unwrap();
    let plan = drill::Plan { manner: drill::Manner::RollingRestart(1), ..drill::Plan::default() };
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
