//! Every metric of a node, on a registry of its own.
//!
//! Names open with `keymoot_`, units are base units (seconds, bytes) and stand last. Labels have
//! few values by design: a route is its pattern, never a path; accounts and contents are no
//! labels. Every node exports all of it, whatever its role.

use prometheus::{Registry, TextEncoder};

use super::declare::metrics;
use super::process::ProcessCollector;
use super::unlogged::UnloggedCollector;

/// A metric was declared in a way that the registry refuses, or cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up or written")]
pub struct MetricsError(#[from] prometheus::Error);

/// What a node is to the consensus at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaftRole {
    /// It leads.
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

/// Why requests were refused.
const REFUSALS: &str = "keymoot_auth_refusals_total";

metrics! {
    build_info: gauges("Always 1; the label says what runs.", by "version");
    pub http_requests_total: counters("Requests answered.", by "route", "method", "status");
    /// From the last byte of the head.
    pub http_request_seconds: histograms("Time from a request's head to its answer.", by "route");
    pub http_requests_in_flight: gauge("Requests being answered now.");
    pub http_connections: gauges("Connections of clients that are open now.", by "listener");
    pub http_unproved_body_bytes: gauge("Bytes of bodies that are held before they are authenticated.");
    /// `room` where that for bodies of requests that are not authenticated was taken, or `length`.
    pub http_bodies_refused_total: counters("Requests refused for the room that their bodies take.", by "reason");
    /// `head`, `body`, `write`, `crowded` where a worker had no room left, or `address` where one address has as
    /// many connections as it may.
    pub http_slow_clients_total: counters(
        "Connections closed and requests refused because their client was too slow.", by "reason"
    );
    pub auth_refusals_total: counters("Requests refused by authentication.", by "reason");
    pub auth_delays_total: counter(
        "Requests whose credentials were not looked at because too many wrong ones came from their address."
    );
    /// `requests` or `new_keys`.
    pub account_limit_refusals_total: counters("Requests refused because their account was over a limit.", by "limit");
    pub widevine_answers_total: counters("Answers of the Widevine common encryption API.", by "status");
    /// `stored`, `derived` or `replaced`.
    pub document_keys_total: counters("Keys handed out to encryptors' documents (SPEKE, CPIX).", by "source");
    pub late_documents: gauge("Contents of documents that were answered while cut off and are not noted yet.");
    pub late_document_conflicts_total: counter(
        "Contents whose key ids have other keys in the cluster than were answered while cut off."
    );
    pub documents_total: counters("Answers to SPEKE and CPIX documents.", by "protocol", "outcome");
    pub licenses_total: counters("License requests that were admitted.", by "system", "outcome");
    pub lease_decisions_total: counters(
        "Whether viewers may begin to play, where a policy counts rentals or devices.", by "outcome"
    );
    pub entitlements_total: counters("Decisions about viewers.", by "adapter", "outcome");
    pub entitlement_seconds: histograms("Time to ask an entitlement back end.", by "adapter");
    pub license_server_requests_total: counters("Requests to license servers.", by "system", "outcome");
    pub license_server_seconds: histograms("Time to ask a license server.", by "system");
    pub license_servers_resting: gauges("License servers that are left alone after failures.", by "system");
    pub bulk_items_total: counters("Items of bulk requests.", by "outcome");
    /// Of a whole `track`, or of one `period`.
    pub exported_keys_total: counters("Keys handed out wrapped for a recipient.", by "kind");
    pub mailbox_full_total: counters("Requests turned away because a mailbox was full.", by "mailbox");
    pub raft_term: gauge("The Raft term of this node.");
    pub raft_last_log_index: gauge("Index of the last log entry.");
    pub raft_committed_index: gauge("Index known to be committed.");
    pub raft_applied_index: gauge("Index applied to the store.");
    pub raft_leader_id: gauge("Node id of the leader; 0 when unknown.");
    pub raft_is_leader: gauge("1 on the leader, else 0.");
    /// The log may be purged to its end.
    pub raft_snapshot_index: gauge("Index covered by the last snapshot.");
    pub raft_purged_index: gauge("Last index purged from the log.");
    pub raft_voters: gauge("Members that vote.");
    pub raft_learners: gauge("Members that do not vote.");
    pub node_info: gauges("Always 1; the labels say which members there are.", by "node", "zone", "version");
    raft_role: gauges("1 for the role this node has, else 0.", by "role");
    pub proposals_total: counters("Proposals by outcome.", by "outcome");
    pub proposal_seconds: seconds("Time from proposal to apply.");
    pub proposal_batch_commands: counts("Commands in one proposal.");
    pub read_barrier_seconds: seconds("What reads waited for a barrier.");
    pub read_barrier_batch_reads: counts("Reads that one barrier released.");
    /// `asker`, the node that asked alone; `votes`, a look at the votes of others; `raft`, a round of Raft.
    pub read_confirmations_total: counters(
        "Confirmations of the leader for reads, by what confirmed it.", by "by"
    );
    pub apply_seconds: seconds("Time to apply one run of log entries.");
    pub log_fsync_seconds: seconds("Time to make log entries durable.");
    pub fenced_off_peers: gauge(
        "Peers that are refused: from before a recovery or restore, or with another data directory."
    );
    /// `join`, `administration`, `change` of the members, a forwarded `proposal`, or `rate` where too many asked to join
    /// or for certificates at once.
    pub peer_refusals_total: counters(
        "What was refused on the peer port for want of a proof of the master key or of a right.", by "what"
    );
    pub peer_unproved_connections: gauge("Connections to the peer port that have proved nothing yet.");
    /// `silent`, `address` where one address has as many as it may, or `crowded` where there was no room left.
    pub peer_unproved_closed_total: counters(
        "Connections to the peer port that were closed before they proved anything.", by "reason"
    );
    pub master_key_wraps: gauges("The most times that a master key may have wrapped since feature level 4.", by "key");
    pub rewrapped_secrets_total: counter("Secrets that were put under another master key.");
    /// In seconds since 1970 UTC.
    pub backup_last_success_timestamp_seconds: gauge(
        "When the last good backup of the cluster was taken; 0 for never."
    );
    pub backup_last_bytes: gauge("Size of that backup.");
    pub backup_schedule_interval_seconds: gauge("How often the cluster takes a backup; 0 without a schedule.");
    pub backup_failed_attempts: gauge("Attempts at a scheduled backup that failed since the last good one.");
    /// In seconds since 1970 UTC, of `peers`, `http` or `packager`. Each connection is refused after that.
    pub certificate_expires_timestamp_seconds: gauges(
        "Until when the certificate that this node shows is valid.", by "listener"
    );
    pub snapshot_bytes: gauge("Size of the last snapshot.");
    pub disk_free_bytes: gauge("Free on the disk of the data directory.");
    pub disk_total_bytes: gauge("Size of that disk.");
    pub disk_read_only: gauge("1 while the node is read-only for want of room, else 0.");
    pub audit_unwritable: gauge("1 while the node cannot write its audit and so grants nothing, else 0.");
    pub audit_events_total: counter("Events that were written to this node's audit log since its program started.");
    pub audit_bytes: gauge("What the files of the audit log take.");
    pub audit_budget_bytes: gauge("What they may take: audit.budget_bytes.");
    /// In seconds since 1970 UTC.
    pub audit_oldest_timestamp_seconds: gauge("When the oldest event that is kept was written; 0 without one.");
    /// At the rate of the last week.
    pub audit_days_left: decimal(
        "In how many days the room for the audit log is used up before events are old enough to be deleted; +Inf when that is not foreseen."
    );
    pub quorum_contact_age_seconds: decimal("How long ago the node confirmed with a quorum that it is up to date.");
    pub cut_off_grants_total: counter(
        "Requests of accounts that read locally which were admitted while the node was cut off from the quorum."
    );
    pub ready: gauge("1 while the node is ready, as /readyz says, else 0.");
    pub keyring_incomplete: gauge(
        "1 while the keyring lacks a master key that secrets of the cluster stand under, else 0."
    );
    pub clock_offset_max_seconds: decimal(
        "By how much the clock of the peer that differs most is off from this node's."
    );
    pub tables_damaged: gauge("1 once a read has met damage in the tables of the state, else 0.");
    /// A node that stopped for it counts until it is removed or replaced.
    pub state_diverged: gauge("Members whose state is known to differ from that of the others; 0 when all agree.");
    /// In seconds since 1970 UTC.
    pub scrub_last_finished_timestamp_seconds: gauge(
        "When all records were last read and found to agree with their digest; 0 for never since the start."
    );
    pub audit_uncosigned_seconds: decimal(
        "For how long events of this node's audit log have waited for another node's signature; 0 when none waits."
    );
    pub audit_logs_refused: gauge(
        "Audit logs of other nodes that do not fit what this node had checked of them; 0 when all fit."
    );
    pub scrub_last_duration_seconds: gauge("How long that took.");
    pub audit_receiver_lag_events: gauges("Events of the audit that a receiver lacks.", by "receiver");
    pub audit_receiver_lag_seconds: gauges("Age of the oldest event that a receiver lacks; 0 for none.", by "receiver");
    pub audit_receiver_failures_total: counters("Attempts at a receiver of the audit that failed.", by "receiver");
    pub audit_receiver_resent_events_total: counters(
        "Events that were sent to a receiver again, marked, because they may have arrived.", by "receiver"
    );
    /// Their numbers are missing at the receiver.
    pub audit_receiver_missed_events_total: counters(
        "Events that were deleted before a receiver had them.", by "receiver"
    );
}

impl Metrics {
    /// Declares every metric.
    ///
    /// # Errors
    /// [`MetricsError`] when a declaration is not valid, which the tests rule out.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new_custom(Some("keymoot".to_owned()), None)?;
        // These names are the same for every program, so they get no prefix.
        let process = Registry::new();
        process.register(Box::new(ProcessCollector::new()?))?;
        registry.register(Box::new(UnloggedCollector::new()?))?;
        let metrics = Self::declare(registry, process)?;
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
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
        self.encoded(|_| true)
    }

    /// The same without what tells strangers of accounts: why requests were refused is one number.
    ///
    /// # Errors
    /// [`MetricsError`] when a metric cannot be written.
    pub fn encode_for_strangers(&self) -> Result<String, MetricsError> {
        let mut text = self.encoded(|name| name != REFUSALS)?;
        let total: f64 = self
            .registry
            .gather()
            .iter()
            .filter(|family| family.name() == REFUSALS)
            .flat_map(|family| family.get_metric())
            .map(|metric| metric.get_counter().get_value())
            .sum();
        text.push_str(&format!(
            "# HELP {REFUSALS} Requests refused by authentication.\n# TYPE {REFUSALS} counter\n\
             {REFUSALS}{{reason=\"any\"}} {total}\n"
        ));
        Ok(text)
    }

    fn encoded(&self, shown: impl Fn(&str) -> bool) -> Result<String, MetricsError> {
        let mut families = [self.registry.gather(), self.process.gather()].concat();
        families.retain(|family| shown(family.name()));
        Ok(TextEncoder::new().encode_to_string(&families)?)
    }
}

#[cfg(test)]
mod tests;
