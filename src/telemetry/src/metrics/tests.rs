//! The names that are published, and what the text of the metrics holds.

use super::*;

/// Dashboards and alerts hold on to these names: a name that goes or changes breaks them.
const NAMES: [&str; 48] = [
    "keymoot_apply_seconds",
    "keymoot_auth_refusals_total",
    "keymoot_backup_last_bytes",
    "keymoot_backup_last_success_timestamp_seconds",
    "keymoot_build_info",
    "keymoot_bulk_items_total",
    "keymoot_certificate_expires_timestamp_seconds",
    "keymoot_disk_free_bytes",
    "keymoot_disk_read_only",
    "keymoot_disk_total_bytes",
    "keymoot_entitlement_seconds",
    "keymoot_entitlements_total",
    "keymoot_exported_keys_total",
    "keymoot_fenced_off_peers",
    "keymoot_http_request_seconds",
    "keymoot_http_requests_in_flight",
    "keymoot_http_requests_total",
    "keymoot_http_slow_clients_total",
    "keymoot_lease_decisions_total",
    "keymoot_license_server_requests_total",
    "keymoot_license_server_seconds",
    "keymoot_license_servers_resting",
    "keymoot_licenses_total",
    "keymoot_log_fsync_seconds",
    "keymoot_mailbox_full_total",
    "keymoot_node_info",
    "keymoot_peer_refusals_total",
    "keymoot_proposal_batch_commands",
    "keymoot_proposal_seconds",
    "keymoot_proposals_total",
    "keymoot_raft_applied_index",
    "keymoot_raft_committed_index",
    "keymoot_raft_is_leader",
    "keymoot_raft_last_log_index",
    "keymoot_raft_leader_id",
    "keymoot_raft_learners",
    "keymoot_raft_purged_index",
    "keymoot_raft_role",
    "keymoot_raft_snapshot_index",
    "keymoot_raft_term",
    "keymoot_raft_voters",
    "keymoot_read_barrier_batch_reads",
    "keymoot_read_barrier_seconds",
    "keymoot_read_confirmations_total",
    "keymoot_rewrapped_secrets_total",
    "keymoot_snapshot_bytes",
    "keymoot_tables_damaged",
    "keymoot_widevine_answers_total",
];

#[test]
fn the_names_are_the_published_ones() {
    let metrics = Metrics::new().unwrap();
    // A vector without a value is not written, so each gets one.
    metrics.http_requests_total.with_label_values(&["/healthz", "GET", "200"]).inc();
    metrics.http_request_seconds.with_label_values(&["/healthz"]).observe(0.1);
    metrics.peer_refusals_total.with_label_values(&["join"]).inc();
    metrics.http_slow_clients_total.with_label_values(&["body"]).inc();
    metrics.auth_refusals_total.with_label_values(&["signature"]).inc();
    metrics.widevine_answers_total.with_label_values(&["OK"]).inc();
    metrics.licenses_total.with_label_values(&["clearkey", "issued"]).inc();
    metrics.lease_decisions_total.with_label_values(&["admitted"]).inc();
    metrics.entitlements_total.with_label_values(&["http", "entitled"]).inc();
    metrics.entitlement_seconds.with_label_values(&["http"]).observe(0.1);
    metrics.license_server_requests_total.with_label_values(&["widevine", "ok"]).inc();
    metrics.license_server_seconds.with_label_values(&["widevine"]).observe(0.1);
    metrics.license_servers_resting.with_label_values(&["widevine"]).set(0);
    metrics.bulk_items_total.with_label_values(&["ok"]).inc();
    metrics.exported_keys_total.with_label_values(&["track"]).inc();
    metrics.mailbox_full_total.with_label_values(&["proposer"]).inc();
    metrics.read_confirmations_total.with_label_values(&["votes"]).inc();
    metrics.proposals_total.with_label_values(&["committed"]).inc();
    metrics.certificate_expires_timestamp_seconds.with_label_values(&["peers"]).set(1);
    metrics.node_info.with_label_values(&["1", "west", "0.1.0"]).set(1);
    let families = metrics.registry.gather();
    let mut names: Vec<&str> = families.iter().map(|family| family.name()).collect();
    names.sort_unstable();
    assert_eq!(names, NAMES);
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
            assert!(NAMES.contains(&name), "{name} is not published");
        }
    }
    assert!(!NAMES.contains(&used("rate(keymoot_gone_total[5m])")[0]), "the check can fail");
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
