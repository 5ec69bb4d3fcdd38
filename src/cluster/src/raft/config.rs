//! The configuration of openraft.

use std::sync::Arc;

use openraft::{ConfigError, SnapshotPolicy};

use crate::settings::ClusterSettings;

/// The configuration of openraft that follows from the settings.
///
/// # Errors
/// When the settings contradict each other.
pub(crate) fn raft_config(config: &ClusterSettings) -> Result<Arc<openraft::Config>, ConfigError> {
    let election_max = config.cluster.election_timeout_max_ms;
    let raft = openraft::Config {
        cluster_name: config.cluster.name.as_str().to_owned(),
        heartbeat_interval: config.cluster.heartbeat_ms,
        election_timeout_min: config.cluster.election_timeout_min_ms,
        election_timeout_max: election_max,
        max_payload_entries: config.raft.append_entries_max,
        // The log is kept until a snapshot covers it; a follower that the log still reaches gets
        // the log.
        replication_lag_threshold: u64::MAX / 4,
        // The monitor triggers snapshots, and openraft only purges.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: config.raft.log_keep_entries,
        purge_batch_size: 1,
        enable_pre_vote: Some(true),
        // Without it, a leader that can send but not receive prevents an election.
        quorum_loss_probe_interval: Some(2 * election_max),
        enable_leader_restore: Some(false),
        ..openraft::Config::default()
    };
    raft.validate().map(Arc::new)
}
