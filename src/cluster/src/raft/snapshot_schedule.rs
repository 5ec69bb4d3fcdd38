//! Decides when this node makes a snapshot, up to which Raft then purges the log.

use openraft::RaftMetrics;

use crate::raft::log_retention::LogRetention;
use crate::wire::raft_types::TypeConfig;

/// A retained log grows to this many times its usual size between snapshots.
const RETAINED_MAX: u64 = 10;

/// Decides when a snapshot is due.
pub(crate) struct SnapshotSchedule {
    retention: LogRetention,
    snapshot_entries: u64,
    keep_entries: u64,
    /// The index of the last entry when a snapshot was last requested.
    asked_at: u64,
}

impl SnapshotSchedule {
    /// A snapshot after every `snapshot_entries` entries, with `keep_entries` kept before it, and
    /// the whole log while `retention` is active.
    pub(crate) fn new(retention: LogRetention, snapshot_entries: u64, keep_entries: u64) -> Self {
        Self { retention, snapshot_entries, keep_entries, asked_at: 0 }
    }

    /// Whether a snapshot is due. On a full disk it is, because freeing space is more important
    /// than retaining the log.
    pub(crate) fn is_due(&mut self, now: &RaftMetrics<TypeConfig>, disk_is_full: bool) -> bool {
        let applied = now.last_applied.map_or(0, |at| at.index);
        let since = applied.saturating_sub(now.snapshot.map_or(0, |at| at.index).max(self.asked_at));
        if since < self.snapshot_entries {
            return false;
        }
        let has_fetched = |node| match &now.replication {
            Some(matched) => {
                let index = matched.get(&node).copied().flatten().map_or(0, |at| at.index);
                index.saturating_add(self.keep_entries) >= applied
            }
            // Only a leader sends its log to others.
            None => true,
        };
        let may_wait = !disk_is_full && since < self.snapshot_entries.saturating_mul(RETAINED_MAX);
        if may_wait && self.retention.is_active(has_fetched) {
            return false;
        }
        self.asked_at = applied;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::wire::raft_types::{LeaderId, LogId};

    /// The metrics of a leader with these applied and snapshot indexes, while node 2 has entries up
    /// to `matched`.
    fn leading(applied: u64, snapshot: u64, matched: u64) -> RaftMetrics<TypeConfig> {
        let at = |index| LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index };
        let mut now = RaftMetrics::new_initial(1);
        now.last_applied = Some(at(applied));
        now.snapshot = Some(at(snapshot));
        now.replication = Some(BTreeMap::from([(2, Some(at(matched)))]));
        now
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_due_after_so_many_entries_and_asked_for_once() {
        let mut snapshots = SnapshotSchedule::new(LogRetention::default(), 100, 10);
        assert!(!snapshots.is_due(&leading(99, 0, 0), false));
        assert!(snapshots.is_due(&leading(100, 0, 0), false));
        assert!(!snapshots.is_due(&leading(150, 0, 0), false), "it is being made");
        assert!(snapshots.is_due(&leading(200, 100, 0), false));
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_of_a_helper_is_cut_late_but_not_never() {
        let retention = LogRetention::default();
        let mut snapshots = SnapshotSchedule::new(retention.clone(), 100, 10);
        let guard = retention.hold_for(2);
        assert!(!snapshots.is_due(&leading(500, 0, 0), false));
        assert!(snapshots.is_due(&leading(500, 0, 0), true), "a full disk waits for nobody");
        assert!(!snapshots.is_due(&leading(1400, 500, 0), false));
        assert!(snapshots.is_due(&leading(1500, 500, 0), false), "ten times the usual length is enough");
        guard.installed();
        assert!(!snapshots.is_due(&leading(1700, 1500, 1600), false), "it still lacks a hundred");
        assert!(snapshots.is_due(&leading(1700, 1500, 1690), false), "the last ten are kept anyway");
    }
}
