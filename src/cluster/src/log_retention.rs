//! Retains the log for nodes that are sent a snapshot.
//!
//! A large snapshot takes minutes to send and to install. If the log were purged
//! meanwhile behind what the snapshot holds, the node would need another snapshot when it is done, and so for
//! ever. The leader therefore purges nothing while it sends one, and until the node has fetched what came since.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use openraft::RaftMetrics;
use tokio::time::Instant;

use keymoot_model::NodeId;

use super::types::TypeConfig;

/// How long a node may take to fetch what came since its snapshot, before it must take another one.
const FETCHED_WITHIN: Duration = Duration::from_secs(300);

/// A log that is kept for somebody grows to so many times what it has between snapshots otherwise.
const RETAINED_MAX: u64 = 10;

/// The nodes for which the log is retained. Cheap to clone.
#[derive(Clone, Default)]
pub struct LogRetention {
    /// Each until when; `None` while the snapshot is on its way.
    nodes: Arc<Mutex<BTreeMap<NodeId, Option<Instant>>>>,
}

impl LogRetention {
    /// Retains the log while a snapshot is sent to `node`.
    pub fn hold_for(&self, node: NodeId) -> RetentionGuard {
        self.lock().insert(node, None);
        RetentionGuard { retention: self.clone(), node, is_installed: false }
    }

    /// Whether the log must stay as it is. `has_fetched` tells who needs nothing of it any more.
    pub fn is_active(&self, has_fetched: impl Fn(NodeId) -> bool) -> bool {
        let now = Instant::now();
        let mut nodes = self.lock();
        nodes.retain(|node, until| until.is_none_or(|until| now < until && !has_fetched(*node)));
        !nodes.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Option<Instant>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A snapshot on its way. Dropped before it has arrived, it keeps nothing.
pub struct RetentionGuard {
    retention: LogRetention,
    node: NodeId,
    is_installed: bool,
}

impl RetentionGuard {
    /// The node has installed it.
    pub fn installed(mut self) {
        self.is_installed = true;
    }
}

impl Drop for RetentionGuard {
    fn drop(&mut self) {
        let mut nodes = self.retention.lock();
        if self.is_installed {
            nodes.insert(self.node, Some(Instant::now() + FETCHED_WITHIN));
        } else {
            nodes.remove(&self.node);
        }
    }
}

/// When this node makes a snapshot, behind which Raft then purges the log.
pub struct SnapshotSchedule {
    retention: LogRetention,
    snapshot_entries: u64,
    keep_entries: u64,
    /// The last entry when a snapshot was last asked for.
    asked_at: u64,
}

impl SnapshotSchedule {
    /// A snapshot after so many entries, behind which so many are kept, and all while `retention` is active.
    pub fn new(retention: LogRetention, snapshot_entries: u64, keep_entries: u64) -> Self {
        Self { retention, snapshot_entries, keep_entries, asked_at: 0 }
    }

    /// Whether it is time for a snapshot. A disk that is full needs it more than anybody needs the log.
    pub fn is_due(&mut self, now: &RaftMetrics<TypeConfig>, disk_is_full: bool) -> bool {
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
            // Only a leader gives others its log.
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
    use super::super::types::{LeaderId, LogId};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_is_kept_until_the_node_has_fetched_what_it_lacks() {
        let retention = LogRetention::default();
        assert!(!retention.is_active(|_| false));
        let guard = retention.hold_for(2);
        assert!(retention.is_active(|_| true), "a snapshot is on its way, whatever the node has");
        guard.installed();
        assert!(retention.is_active(|_| false));
        assert!(!retention.is_active(|node| node == 2));
        assert!(!retention.is_active(|_| false), "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_who_got_nothing_or_takes_too_long() {
        let retention = LogRetention::default();
        drop(retention.hold_for(2));
        assert!(!retention.is_active(|_| false));
        retention.hold_for(3).installed();
        tokio::time::advance(FETCHED_WITHIN).await;
        assert!(!retention.is_active(|_| false));
    }

    /// What Raft says of a leader that has applied so much, made its last snapshot there, and knows that node
    /// 2 has this much.
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
