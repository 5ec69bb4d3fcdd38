//! Retains the log for nodes that are sent a snapshot.
//!
//! A large snapshot takes minutes to send and to install. If the log after the snapshot were purged
//! meanwhile, the node would need another snapshot afterwards, and so on for ever. The leader
//! therefore purges nothing while it sends a snapshot, and until the node has fetched the entries
//! after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use keymoot_model::NodeId;

/// How long a node may take to fetch the entries after its snapshot before it needs another one.
const FETCHED_WITHIN: Duration = Duration::from_secs(300);

/// The nodes for which the log is retained. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct LogRetention {
    /// The time until which the log is retained for each node; `None` while the snapshot is being
    /// sent.
    nodes: Arc<Mutex<BTreeMap<NodeId, Option<Instant>>>>,
}

impl LogRetention {
    /// Retains the log while a snapshot is sent to `node`.
    pub(crate) fn hold_for(&self, node: NodeId) -> RetentionGuard {
        self.lock().insert(node, None);
        RetentionGuard { retention: self.clone(), node, is_installed: false }
    }

    /// Whether the log must be retained. `has_fetched` tells which nodes need it no longer.
    pub(crate) fn is_active(&self, has_fetched: impl Fn(NodeId) -> bool) -> bool {
        let now = Instant::now();
        let mut nodes = self.lock();
        nodes.retain(|node, until| until.is_none_or(|until| now < until && !has_fetched(*node)));
        !nodes.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Option<Instant>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A snapshot that is being sent. Dropped before [`Self::installed`], it retains nothing.
pub(crate) struct RetentionGuard {
    retention: LogRetention,
    node: NodeId,
    is_installed: bool,
}

impl RetentionGuard {
    /// Records that the node has installed the snapshot.
    pub(crate) fn installed(mut self) {
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

#[cfg(test)]
mod tests {
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
}
