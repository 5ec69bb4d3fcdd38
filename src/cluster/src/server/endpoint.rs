//! The receiving side of Raft's messages on this node.

use std::sync::Arc;

use tokio::time::Instant;

use keymoot_store::Directory;
use keymoot_telemetry::Metrics;

use crate::ops::damage::DamageReport;
use crate::raft::Raft;
use crate::write::disk::Disk;

/// Raft on this node, for requests of peers.
pub(crate) struct RaftEndpoint {
    pub(super) raft: Raft,
    pub(super) disk: Disk,
    pub(super) directory: Arc<Directory>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) damage: DamageReport,
    /// The time until which this node answers no vote; `None` when it cannot have granted a lease.
    silent_until: Option<Instant>,
}

impl RaftEndpoint {
    /// The endpoint of `raft`, which answers no vote before `silent_until`.
    pub(crate) const fn new(
        raft: Raft,
        disk: Disk,
        directory: Arc<Directory>,
        metrics: Arc<Metrics>,
        damage: DamageReport,
        silent_until: Option<Instant>,
    ) -> Self {
        Self { raft, disk, directory, metrics, damage, silent_until }
    }

    /// A restarted node does not know which lease it granted before, so it refuses to vote until
    /// every such lease has expired.
    pub(super) fn is_voting_too_early(&self) -> bool {
        self.silent_until.is_some_and(|until| Instant::now() < until)
    }
}
