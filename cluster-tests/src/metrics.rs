//! A node's metrics and health, over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{RigError, raw};

/// What the rig shows for metrics, where a node's configuration demands it.
pub const TOKEN: &str = "the rig reads metrics by this";

/// 1 on the leader, 0 elsewhere.
pub const IS_LEADER: &str = "keymoot_raft_is_leader";
/// The last entry applied to the node's state.
pub const APPLIED_INDEX: &str = "keymoot_raft_applied_index";
/// The last entry in the node's log.
pub const LAST_LOG_INDEX: &str = "keymoot_raft_last_log_index";
/// The last entry that the node's log no longer holds.
pub const PURGED_INDEX: &str = "keymoot_raft_purged_index";

/// 1 while the node has too little free disk space to write.
pub const DISK_READ_ONLY: &str = "keymoot_disk_read_only";

/// 1 once a read of the node has met damage in its tables.
pub const TABLES_DAMAGED: &str = "keymoot_tables_damaged";

/// How often the node made its log durable.
pub const LOG_FSYNCS: &str = "keymoot_log_fsync_seconds_count";

/// The node's Raft term.
pub const TERM: &str = "keymoot_raft_term";

/// Reads one sample of one node.
///
/// # Errors
/// When the node does not answer, or its answer lacks that metric.
pub fn sample(node: SocketAddr, name: &str) -> Result<f64, RigError> {
    let answer = get(node, "/metrics")?;
    value_of(&answer.text_whole(), name)
        .ok_or_else(|| RigError::Answer(format!("the metrics of {node} hold no {name}")))
}

/// A file with the token of the rig, for nodes that show their metrics to nobody else.
///
/// # Errors
/// When it cannot be written.
pub fn token_file() -> Result<tempfile::NamedTempFile, RigError> {
    let file = tempfile::NamedTempFile::new().map_err(RigError::io("cannot make a file"))?;
    std::fs::write(file.path(), TOKEN).map_err(RigError::at("write", file.path()))?;
    Ok(file)
}

/// How often requests were refused for this reason, by a node that shows its metrics to the rig alone.
///
/// # Errors
/// When it does not answer.
pub fn refusals(node: SocketAddr, reason: &str) -> Result<u64, RigError> {
    let text = get(node, "/metrics")?.text_whole();
    let line = format!("keymoot_auth_refusals_total{{reason=\"{reason}\"}} ");
    let count = text.lines().find_map(|known| known.strip_prefix(&line)?.parse().ok());
    Ok(count.unwrap_or(0))
}

/// Checks that the node reports to be alive.
///
/// # Errors
/// When it does not answer 200.
pub fn is_healthy(node: SocketAddr) -> Result<(), RigError> {
    let answer = get(node, "/healthz")?;
    if answer.status == 200 {
        return Ok(());
    }
    Err(RigError::Answer(format!("/healthz of {node} answered {}", answer.status)))
}

/// Checks that the node reports to be ready.
///
/// # Errors
/// When it does not answer 200.
pub fn is_ready(node: SocketAddr) -> Result<(), RigError> {
    let answer = get(node, "/readyz")?;
    if answer.status == 200 {
        return Ok(());
    }
    Err(RigError::Answer(format!("/readyz of {node} answered {}: {}", answer.status, answer.text_whole())))
}

fn get(node: SocketAddr, path: &str) -> Result<raw::Answer, RigError> {
    // Other programs than Keymoot stream their metrics, so the connection must be closed at the
    // end.
    let token = format!("Bearer {TOKEN}");
    let headers = [("Connection", "close"), ("Authorization", token.as_str())];
    let request = raw::request("GET", path, &headers, &[]);
    raw::exchange_streamed(node, &request, Duration::from_secs(5))
}

impl raw::Answer {
    fn text_whole(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The first sample of `name` in Prometheus' text format, with or without labels.
pub fn value_of(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest,
        };
        rest.strip_prefix(' ')?.split_whitespace().next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_found_with_and_without_labels() {
        let text = "# HELP a x\n# TYPE a gauge\na_longer 3\na 1\nb{node=\"1\"} 2.5 123\n";
        assert_eq!(value_of(text, "a"), Some(1.0));
        assert_eq!(value_of(text, "b"), Some(2.5));
        assert_eq!(value_of(text, "a_long"), None);
    }
}
