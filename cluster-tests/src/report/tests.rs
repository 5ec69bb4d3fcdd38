//! A made-up drill, and its rows, picture and buckets.

use super::*;
use crate::drill::{Record, Refusal};

fn report() -> Report {
    let at = Duration::from_millis;
    let success = |node, sent: u64, answered: u64| Success {
        node,
        sent_at: at(sent),
        answered_at: at(answered),
        waited: at(answered - sent),
    };
    let record = Record {
        successes: vec![success(0, 10, 20), success(1, 110, 460), success(2, 470, 480)],
        refusals: vec![Refusal { at: at(300), text: "status 500".into() }],
        ..Record::default()
    };
    let outages = vec![Outage { node: 3, led: true, at: at(100), back_at: at(500) }];
    Report { manner: Manner::LeaderKilled(1), outages, record, lasted: at(600), findings: vec![] }
}

#[test]
fn a_row_counts_what_happened_between_its_outage_and_the_next() {
    let expected = Row { outage: 1, node: 3, led: true, gap_ms: 360.0, errors: 1, slowest_ms: 350.0 };
    assert_eq!(rows(&report()), [expected]);
    assert!(
        table(&report()).contains("median gap 360 ms, longest 360 ms; 4 answers in 1 s, 1 of them errors")
    );
    assert_eq!(figures(&report())["outages"][0]["gap_ms"], 360.0);
}

#[test]
fn the_picture_has_a_panel_for_each_node_and_names_the_outage() {
    let svg = picture(&report(), 3);
    for words in ["node 1:", "node 3:", "slowest answer, ms", "errors", "kill -9 node 3: 360 ms"] {
        assert!(svg.contains(words), "{words} is missing");
    }
}

#[test]
fn values_fall_into_the_bucket_of_their_time() {
    let values = [(0, 1.0), (49, 2.0), (50, 4.0), (599, 8.0), (9000, 16.0)];
    let values = values.map(|(at, value)| (Duration::from_millis(at), value)).into_iter();
    let sums = buckets(&report(), values, |a, b| a + b);
    assert_eq!(sums.len(), 13);
    assert!((sums[0] - 3.0).abs() < 1e-9 && (sums[1] - 4.0).abs() < 1e-9 && (sums[11] - 8.0).abs() < 1e-9);
}
