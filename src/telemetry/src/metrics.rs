//! Every metric of a node, on a registry of its own.
//!
//! Names open with `keymoot_`, units are base units (seconds, bytes) and stand last. Labels have
//! few values by design: a route is its pattern, never a path; accounts and contents are no
//! labels. Every node exports all of it, whatever its role.

use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use super::declare::Declare;
use super::process::ProcessCollector;

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
    /// Connections closed and requests refused because their client was too slow, by `reason`: `head`,
    /// `body`, `write`, or `crowded` where a worker had no room left.
    pub http_slow_clients_total: IntCounterVec,
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
    /// Peers that this node does not speak to: of another fence, or with another data directory than before.
    pub fenced_off_peers: IntGauge,
    /// What was refused on the peer port for want of a proof of the master key or of a right, by `what`:
    /// `join`, `administration`, `change` of the members, or a forwarded `proposal`.
    pub peer_refusals_total: IntCounterVec,
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
    /// 1 once a read has met damage in the tables of the state, else 0.
    pub tables_damaged: IntGauge,
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
        process.register(Box::new(ProcessCollector::new()?))?;
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
            http_slow_clients_total: declare.counters(
                "http_slow_clients_total",
                "Connections closed and requests refused because their client was too slow.",
                &["reason"],
            )?,
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
                "Peers that are refused: from before a recovery or restore, or with another data directory.",
            )?,
            peer_refusals_total: declare.counters(
                "peer_refusals_total",
                "What was refused on the peer port for want of a proof of the master key or of a right.",
                &["what"],
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
            tables_damaged: declare.gauge(
                "tables_damaged",
                "1 once a read has met damage in the tables of the state, else 0.",
            )?,
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

#[cfg(test)]
mod tests;
