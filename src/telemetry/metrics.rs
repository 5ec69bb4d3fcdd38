//! Every metric of a node, on a registry of its own.
//!
//! Names open with `keymoot_`, units are base units (seconds, bytes) and stand last. Labels have
//! few values by design: a route is its pattern, never a path; accounts and contents are no
//! labels. Every node exports all of it, whatever its role.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Buckets for what should take microseconds to seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets for how many things went together.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// A metric was declared in a way that the registry refuses, or cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up or written")]
pub struct MetricsError(#[from] prometheus::Error);

/// What a node is to the consensus at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaftRole {
    /// It proposes.
    Leader,
    /// It follows a leader, or waits for one.
    Follower,
    /// It stands for election.
    Candidate,
    /// It replicates and does not vote.
    Learner,
}

impl RaftRole {
    const ALL: [Self; 4] = [Self::Leader, Self::Follower, Self::Candidate, Self::Learner];

    fn label(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
        }
    }
}

/// All metrics. Cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    process: Registry,
    /// Requests answered, by `route` pattern, `method` and `status`.
    pub http_requests_total: IntCounterVec,
    /// From the last byte of the request's head to the answer, by `route` pattern.
    pub http_request_seconds: HistogramVec,
    /// Requests being answered now.
    pub http_requests_in_flight: IntGauge,
    /// Requests refused by authentication, by `reason`.
    pub auth_refusals_total: IntCounterVec,
    /// Answers of the Widevine common encryption API, by `status`.
    pub widevine_answers_total: IntCounterVec,
    /// License requests that were admitted, by `system` and `outcome`.
    pub licenses_total: IntCounterVec,
    /// Whether viewers may begin to play, where a policy counts rentals or devices, by `outcome`.
    pub lease_decisions_total: IntCounterVec,
    /// Decisions about viewers, by `adapter` and `outcome`.
    pub entitlements_total: IntCounterVec,
    /// What asking an entitlement back end took, by `adapter`.
    pub entitlement_seconds: HistogramVec,
    /// Requests to license servers, by `system` and `outcome`.
    pub license_server_requests_total: IntCounterVec,
    /// What asking a license server took, by `system`.
    pub license_server_seconds: HistogramVec,
    /// License servers that are left alone after failures, by `system`.
    pub license_servers_resting: IntGaugeVec,
    /// Items of bulk requests, by `outcome`.
    pub bulk_items_total: IntCounterVec,
    /// Keys handed out wrapped for a recipient, by `kind`: of a whole track, or of one period.
    pub exported_keys_total: IntCounterVec,
    /// Requests turned away because a mailbox was full, by `mailbox`.
    pub mailbox_full_total: IntCounterVec,
    /// The Raft term this node is in.
    pub raft_term: IntGauge,
    /// The index of the last entry of this node's log.
    pub raft_last_log_index: IntGauge,
    /// The index up to which this node knows the log committed.
    pub raft_committed_index: IntGauge,
    /// The index up to which this node has applied the log.
    pub raft_applied_index: IntGauge,
    /// The leader's node id as this node sees it; 0 when it knows none.
    pub raft_leader_id: IntGauge,
    /// 1 on the leader, else 0.
    pub raft_is_leader: IntGauge,
    /// The end of the snapshot that the log may be purged to.
    pub raft_snapshot_index: IntGauge,
    /// The last entry purged from the log.
    pub raft_purged_index: IntGauge,
    /// Members that vote, as this node knows them.
    pub raft_voters: IntGauge,
    /// Members that replicate and do not vote, as this node knows them.
    pub raft_learners: IntGauge,
    /// The members, by `node`, `zone` and `version`; always 1.
    pub node_info: IntGaugeVec,
    raft_role: IntGaugeVec,
    /// Proposals, by `outcome`.
    pub proposals_total: IntCounterVec,
    /// From proposing a batch until it is committed and applied.
    pub proposal_seconds: Histogram,
    /// Commands in one proposal.
    pub proposal_batch_commands: Histogram,
    /// What a read waited for its barrier.
    pub read_barrier_seconds: Histogram,
    /// Reads that one barrier released.
    pub read_barrier_batch_reads: Histogram,
    /// Confirmations of the leader for reads, by what confirmed it (`by`): `asker`, the node that asked alone;
    /// `votes`, a look at the votes of others; `raft`, a round of Raft.
    pub read_confirmations_total: IntCounterVec,
    /// Applying one run of entries to the store.
    pub apply_seconds: Histogram,
    /// Making one group of log entries durable.
    pub log_fsync_seconds: Histogram,
    /// Peers that this node does not speak to, since they are of another fence.
    pub fenced_off_peers: IntGauge,
    /// Secrets that this node has put under another master key.
    pub rewrapped_secrets_total: IntCounter,
    /// When a backup was last taken from this node, in seconds since 1970; 0 since it started.
    pub backup_last_success_timestamp_seconds: IntGauge,
    /// The size of that backup.
    pub backup_last_bytes: IntGauge,
    /// Until when this node's certificates are valid, in seconds since 1970 UTC, by `listener`: `peers`,
    /// `http` or `packager`. Each connection is refused after that.
    pub certificate_expires_timestamp_seconds: IntGaugeVec,
    /// The size of the last snapshot that was made or received.
    pub snapshot_bytes: IntGauge,
    /// What is free on the disk of the data directory.
    pub disk_free_bytes: IntGauge,
    /// The size of that disk.
    pub disk_total_bytes: IntGauge,
    /// 1 while the node is read-only for want of room, else 0.
    pub disk_read_only: IntGauge,
}

impl Metrics {
    /// Declares every metric.
    ///
    /// # Errors
    /// [`MetricsError`] when a declaration is not valid, which the tests rule out.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new_custom(Some("keymoot".to_owned()), None)?;
        let declare = Declare { registry: &registry };
        let build_info = declare.gauges("build_info", "Always 1; the label says what runs.", &["version"])?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        // These names are the same for every program, so they get no prefix.
        let process = Registry::new();
        process.register(Box::new(ProcessCollector::for_self()))?;
        let metrics = Self {
            process,
            http_requests_total: declare.counters(
                "http_requests_total",
                "Requests answered.",
                &["route", "method", "status"],
            )?,
            http_request_seconds: declare.histograms(
                "http_request_seconds",
                "Time from a request's head to its answer.",
                &["route"],
            )?,
            http_requests_in_flight: declare
                .gauge("http_requests_in_flight", "Requests being answered now.")?,
            auth_refusals_total: declare.counters(
                "auth_refusals_total",
                "Requests refused by authentication.",
                &["reason"],
            )?,
            widevine_answers_total: declare.counters(
                "widevine_answers_total",
                "Answers of the Widevine common encryption API.",
                &["status"],
            )?,
            licenses_total: declare.counters(
                "licenses_total",
                "License requests that were admitted.",
                &["system", "outcome"],
            )?,
            lease_decisions_total: declare.counters(
                "lease_decisions_total",
                "Whether viewers may begin to play, where a policy counts rentals or devices.",
                &["outcome"],
            )?,
            entitlements_total: declare.counters(
                "entitlements_total",
                "Decisions about viewers.",
                &["adapter", "outcome"],
            )?,
            entitlement_seconds: declare.histograms(
                "entitlement_seconds",
                "Time to ask an entitlement back end.",
                &["adapter"],
            )?,
            license_server_requests_total: declare.counters(
                "license_server_requests_total",
                "Requests to license servers.",
                &["system", "outcome"],
            )?,
            license_server_seconds: declare.histograms(
                "license_server_seconds",
                "Time to ask a license server.",
                &["system"],
            )?,
            license_servers_resting: declare.gauges(
                "license_servers_resting",
                "License servers that are left alone after failures.",
                &["system"],
            )?,
            bulk_items_total: declare.counters(
                "bulk_items_total",
                "Items of bulk requests.",
                &["outcome"],
            )?,
            exported_keys_total: declare.counters(
                "exported_keys_total",
                "Keys handed out wrapped for a recipient.",
                &["kind"],
            )?,
            mailbox_full_total: declare.counters(
                "mailbox_full_total",
                "Requests turned away because a mailbox was full.",
                &["mailbox"],
            )?,
            raft_term: declare.gauge("raft_term", "The Raft term of this node.")?,
            raft_last_log_index: declare.gauge("raft_last_log_index", "Index of the last log entry.")?,
            raft_committed_index: declare.gauge("raft_committed_index", "Index known to be committed.")?,
            raft_applied_index: declare.gauge("raft_applied_index", "Index applied to the store.")?,
            raft_leader_id: declare.gauge("raft_leader_id", "Node id of the leader; 0 when unknown.")?,
            raft_is_leader: declare.gauge("raft_is_leader", "1 on the leader, else 0.")?,
            raft_snapshot_index: declare
                .gauge("raft_snapshot_index", "Index covered by the last snapshot.")?,
            raft_purged_index: declare.gauge("raft_purged_index", "Last index purged from the log.")?,
            raft_voters: declare.gauge("raft_voters", "Members that vote.")?,
            raft_learners: declare.gauge("raft_learners", "Members that do not vote.")?,
            node_info: declare.gauges(
                "node_info",
                "Always 1; the labels say which members there are.",
                &["node", "zone", "version"],
            )?,
            raft_role: declare.gauges("raft_role", "1 for the role this node has, else 0.", &["role"])?,
            proposals_total: declare.counters("proposals_total", "Proposals by outcome.", &["outcome"])?,
            proposal_seconds: declare.seconds("proposal_seconds", "Time from proposal to apply.")?,
            proposal_batch_commands: declare
                .counts("proposal_batch_commands", "Commands in one proposal.")?,
            read_barrier_seconds: declare
                .seconds("read_barrier_seconds", "What reads waited for a barrier.")?,
            read_barrier_batch_reads: declare
                .counts("read_barrier_batch_reads", "Reads that one barrier released.")?,
            read_confirmations_total: declare.counters(
                "read_confirmations_total",
                "Confirmations of the leader for reads, by what confirmed it.",
                &["by"],
            )?,
            apply_seconds: declare.seconds("apply_seconds", "Time to apply one run of log entries.")?,
            log_fsync_seconds: declare.seconds("log_fsync_seconds", "Time to make log entries durable.")?,
            fenced_off_peers: declare.gauge(
                "fenced_off_peers",
                "Peers from before or beside a recovery or restore of the cluster.",
            )?,
            rewrapped_secrets_total: declare
                .counter("rewrapped_secrets_total", "Secrets that were put under another master key.")?,
            backup_last_success_timestamp_seconds: declare.gauge(
                "backup_last_success_timestamp_seconds",
                "When a backup was last taken from this node; 0 for never since it started.",
            )?,
            backup_last_bytes: declare.gauge("backup_last_bytes", "Size of that backup.")?,
            certificate_expires_timestamp_seconds: declare.gauges(
                "certificate_expires_timestamp_seconds",
                "Until when the certificate that this node shows is valid.",
                &["listener"],
            )?,
            snapshot_bytes: declare.gauge("snapshot_bytes", "Size of the last snapshot.")?,
            disk_free_bytes: declare.gauge("disk_free_bytes", "Free on the disk of the data directory.")?,
            disk_total_bytes: declare.gauge("disk_total_bytes", "Size of that disk.")?,
            disk_read_only: declare
                .gauge("disk_read_only", "1 while the node is read-only for want of room, else 0.")?,
            registry: registry.clone(),
        };
        metrics.set_raft_role(RaftRole::Follower);
        Ok(metrics)
    }

    /// Says which role the node has now.
    pub fn set_raft_role(&self, role: RaftRole) {
        for each in RaftRole::ALL {
            self.raft_role.with_label_values(&[each.label()]).set((each == role).into());
        }
    }

    /// All metrics in the Prometheus text format.
    ///
    /// # Errors
    /// [`MetricsError`] when a metric cannot be written.
    pub fn encode(&self) -> Result<String, MetricsError> {
        let families = [self.registry.gather(), self.process.gather()].concat();
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }
}

/// Declares metrics on one registry, whose prefix they get.
struct Declare<'r> {
    registry: &'r Registry,
}

impl Declare<'_> {
    fn register<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::new(name, help)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn seconds(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?)
    }

    fn counts(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(COUNTS.to_vec()))?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.register(HistogramVec::new(options, labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dashboards and alerts hold on to these names: a name that goes or changes breaks them.
    const NAMES: [&str; 45] = [
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
        "keymoot_lease_decisions_total",
        "keymoot_license_server_requests_total",
        "keymoot_license_server_seconds",
        "keymoot_license_servers_resting",
        "keymoot_licenses_total",
        "keymoot_log_fsync_seconds",
        "keymoot_mailbox_full_total",
        "keymoot_node_info",
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
        "keymoot_widevine_answers_total",
    ];

    #[test]
    fn the_names_are_the_published_ones() {
        let metrics = Metrics::new().unwrap();
        // A vector without a value is not written, so each gets one.
        metrics.http_requests_total.with_label_values(&["/healthz", "GET", "200"]).inc();
        metrics.http_request_seconds.with_label_values(&["/healthz"]).observe(0.1);
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
        assert_eq!(
            text.lines().filter(|l| l.starts_with("keymoot_raft_role{") && l.ends_with(" 1")).count(),
            1
        );
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
        let shipped = [include_str!("../../config/alerts.yml"), include_str!("../../config/dashboard.json")];
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
}
