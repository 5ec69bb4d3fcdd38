//! The names that are published, and what the text of the metrics holds.

use super::*;

/// What is published: names, kinds, labels, buckets and help. Dashboards and alerts hold on to the names: one
/// that goes or changes breaks them.
const PUBLISHED: &str = include_str!("tests/published.txt");
/// Set to write the file anew.
const BLESS: &str = "KEYMOOT_BLESS";

/// The names in [`PUBLISHED`].
fn names() -> Vec<&'static str> {
    let help = PUBLISHED.lines().filter_map(|line| line.strip_prefix("# HELP "));
    help.filter_map(|line| line.split(' ').next()).collect()
}

/// Metrics of which each has a value: a vector without one is not written.
fn filled() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.http_requests_total.with_label_values(&["/healthz", "GET", "200"]).inc();
    metrics.http_request_seconds.with_label_values(&["/healthz"]).observe(0.1);
    metrics.peer_refusals_total.with_label_values(&["join"]).inc();
    metrics.http_bodies_refused_total.with_label_values(&["room"]).inc();
    metrics.http_slow_clients_total.with_label_values(&["body"]).inc();
    metrics.auth_refusals_total.with_label_values(&["signature"]).inc();
    metrics.widevine_answers_total.with_label_values(&["OK"]).inc();
    metrics.documents_total.with_label_values(&["speke-2.0", "answered"]).inc();
    metrics.document_keys_total.with_label_values(&["derived"]).inc();
    metrics.licenses_total.with_label_values(&["clearkey", "issued"]).inc();
    metrics.lease_decisions_total.with_label_values(&["admitted"]).inc();
    metrics.entitlements_total.with_label_values(&["http", "entitled"]).inc();
    metrics.entitlement_seconds.with_label_values(&["http"]).observe(0.1);
    metrics.license_server_requests_total.with_label_values(&["widevine", "ok"]).inc();
    metrics.license_server_seconds.with_label_values(&["widevine"]).observe(0.1);
    metrics.master_key_wraps.with_label_values(&["mk1"]).set(0);
    metrics.license_servers_resting.with_label_values(&["widevine"]).set(0);
    metrics.bulk_items_total.with_label_values(&["ok"]).inc();
    metrics.exported_keys_total.with_label_values(&["track"]).inc();
    metrics.mailbox_full_total.with_label_values(&["proposer"]).inc();
    metrics.read_confirmations_total.with_label_values(&["votes"]).inc();
    metrics.proposals_total.with_label_values(&["committed"]).inc();
    metrics.certificate_expires_timestamp_seconds.with_label_values(&["peers"]).set(1);
    metrics.http_connections.with_label_values(&["http"]).set(1);
    metrics.account_limit_refusals_total.with_label_values(&["requests"]).inc();
    metrics.peer_unproved_closed_total.with_label_values(&["silent"]).inc();
    metrics.node_info.with_label_values(&["1", "west", "2.0.0"]).set(1);
    metrics.audit_receiver_lag_events.with_label_values(&["siem"]).set(0);
    metrics.audit_receiver_lag_seconds.with_label_values(&["siem"]).set(0);
    metrics.audit_receiver_failures_total.with_label_values(&["siem"]).inc();
    metrics.audit_receiver_resent_events_total.with_label_values(&["siem"]).inc();
    metrics.audit_receiver_missed_events_total.with_label_values(&["siem"]).inc();
    metrics
}

#[test]
fn names_kinds_labels_and_help_are_the_published_ones() {
    let text = TextEncoder::new().encode_to_string(&filled().registry.gather()).unwrap();
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    if std::env::var_os(BLESS).is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/metrics/tests/published.txt");
        std::fs::write(file, &text).unwrap();
        return;
    }
    let differing = PUBLISHED.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(
        PUBLISHED == text,
        "the metrics have changed, first at {differing:?}; if that is meant: {BLESS}=1 cargo nextest run \
         -p keymoot-telemetry -E 'test(published)'"
    );
}

#[test]
fn the_text_holds_values_and_exactly_one_role() {
    let metrics = Metrics::new().unwrap();
    metrics.set_raft_role(RaftRole::Leader);
    metrics.raft_term.set(7);
    let text = metrics.encode().unwrap();
    assert!(text.contains("keymoot_raft_term 7\n"), "{text}");
    assert!(text.contains("keymoot_raft_role{role=\"leader\"} 1\n"), "{text}");
    assert_eq!(text.matches("keymoot_raft_role{").count(), 4);
    assert_eq!(text.lines().filter(|l| l.starts_with("keymoot_raft_role{") && l.ends_with(" 1")).count(), 1);
}

/// The names of our metrics that a text uses, without what histograms append.
fn used(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let own = words.filter(|word| word.starts_with("keymoot_"));
    own.map(|word| {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)
    })
    .collect()
}

#[test]
fn alerts_and_dashboard_use_names_that_are_published() {
    let shipped =
        [include_str!("../../../../config/alerts.yml"), include_str!("../../../../config/dashboard.json")];
    for text in shipped {
        assert!(used(text).len() > 10);
        for name in used(text) {
            assert!(names().contains(&name), "{name} is not published");
        }
    }
    assert!(!names().contains(&used("rate(keymoot_gone_total[5m])")[0]), "the check can fail");
}

#[test]
fn the_process_itself_is_measured() {
    let text = Metrics::new().unwrap().encode().unwrap();
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
        assert!(text.contains(&format!("\n{name} ")), "{name}");
    }
}

#[test]
fn two_nodes_in_one_process_do_not_share_metrics() {
    let (one, two) = (Metrics::new().unwrap(), Metrics::new().unwrap());
    one.raft_term.set(1);
    assert_eq!(two.raft_term.get(), 0);
}

#[test]
fn strangers_are_told_how_many_were_refused_and_not_why() {
    let metrics = filled();
    metrics.auth_refusals_total.with_label_values(&["unknown_account"]).inc_by(2);
    let (all, text) = (metrics.encode().unwrap(), metrics.encode_for_strangers().unwrap());
    assert!(all.contains("keymoot_auth_refusals_total{reason=\"unknown_account\"} 2"));
    assert!(
        !text.contains("unknown_account") && text.contains("keymoot_auth_refusals_total{reason=\"any\"} 3\n")
    );
    assert_eq!(all.lines().count(), text.lines().count() + 1);
}
