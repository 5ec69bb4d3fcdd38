//! The shipped alert rules and dashboard, with a real Prometheus: they are understood, they show a
//! running cluster, and a dead node raises what it must.

use std::process::Command;
use std::time::Duration;

use cluster_tests::prometheus::{Prometheus, SCRAPE_EVERY, shipped};
use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, RigError, wait};
use serde_json::Value;

/// Panels that stay empty on a cluster that made no licenses and had no trouble.
const QUIET: [&str; 16] = [
    "Receivers of the audit, oldest event they lack",
    "Receivers of the audit, events they lack",
    "Since the last backup",
    "Refusals",
    "Turned away, mailbox full",
    "Licenses",
    "Entitlement decisions",
    "Entitlement back ends, 99 %",
    "License servers",
    "License servers, 99 %",
    "License servers skipped after failures",
    "Rentals and leases",
    "Widevine API answers",
    "Bulk items and exported keys",
    "Last snapshot",
    "Proposals",
];

#[test]
fn the_alert_rules_are_sound_and_make_what_they_must_of_made_up_series() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/alerts.test.yml");
    let rules = shipped("alerts.yml");
    let example = shipped("prometheus.example.yml");
    for arguments in [
        ["check", "rules", rules.to_str().unwrap()],
        ["test", "rules", tests],
        ["check", "config", example.to_str().unwrap()],
    ] {
        let output =
            Command::new("promtool").args(arguments).output().expect("promtool; scripts/test installs it");
        let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

/// The panels that show nothing and should.
fn empty_panels(prometheus: &Prometheus) -> Vec<String> {
    let dashboard = std::fs::read_to_string(shipped("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut empty = Vec::new();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression.replace("$cluster", ".*").replace("$__rate_interval", "6s");
            let series = prometheus.query(&expression).unwrap_or_else(|error| panic!("{title}: {error}"));
            asked += 1;
            if series.is_empty() && !QUIET.contains(&title) {
                empty.push(title.to_owned());
            }
        }
    }
    assert!(asked > 25, "only {asked} expressions");
    empty
}

#[test]
fn the_dashboard_shows_a_running_cluster_and_a_dead_node_raises_an_alert() {
    let mut cluster = Cluster::start().unwrap();
    let prometheus = Prometheus::start(&cluster.addresses()).unwrap();
    let mut seconds = 0..;
    wait_until("every panel to show something", Duration::from_secs(60), || {
        let second: u32 = seconds.next().unwrap_or_default();
        for (index, node) in cluster.addresses().into_iter().enumerate() {
            let content = format!("watched-{second}-{index}.mp4");
            cluster.signer().create(node, &content)?;
            cluster.signer().read(node, &content)?;
        }
        wait::pause(SCRAPE_EVERY)?;
        match empty_panels(&prometheus).as_slice() {
            [] => Ok(()),
            empty => Err(RigError::Answer(format!("these panels show nothing: {empty:?}"))),
        }
    })
    .unwrap();

    // Some would be raised if what few samples say went on for long; that is what their `for` is for.
    let mut alerts = prometheus.alerts().unwrap();
    alerts.retain(|(name, state)| state == "firing" || name == "KeymootNodeDown");
    assert_eq!(alerts, [], "a sound cluster raises nothing");
    let node = cluster.others(cluster.leader().unwrap())[0];
    cluster.kill(node).unwrap();
    wait_until("the alert of the dead node", Duration::from_secs(15), || {
        let alerts = prometheus.alerts()?;
        match alerts.iter().any(|(name, _)| name == "KeymootNodeDown") {
            true => Ok(()),
            false => Err(RigError::Answer(format!("{alerts:?}"))),
        }
    })
    .unwrap();
}

/// The seconds of the first time that follows each `key` in a file of `config`.
fn seconds_of(file: &str, key: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(shipped(file)).unwrap();
    let values = text.lines().filter_map(|line| line.trim().strip_prefix(key)?.trim().strip_prefix(':'));
    let seconds = |time: &str| {
        let (number, unit) = time.trim().split_at(time.trim().len() - 1);
        number.parse::<u64>().unwrap()
            * [("s", 1), ("m", 60), ("h", 3600)].iter().find(|it| it.0 == unit).unwrap().1
    };
    values.map(seconds).collect()
}

#[test]
fn the_example_looks_at_alerts_often_enough_for_the_most_urgent_one() {
    let shortest = seconds_of("alerts.yml", "for").into_iter().min().unwrap();
    let [every] = seconds_of("prometheus.example.yml", "evaluation_interval")[..] else {
        panic!(
            "Prometheus would look once a minute, and an alert that waits for {shortest} s come two minutes late"
        )
    };
    assert!(2 * every <= shortest, "looked at every {every} s, and {shortest} s must be seen");
}
