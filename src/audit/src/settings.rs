//! The `[audit]` section of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use keymoot_model::empty_is_none;
use serde::{Deserialize, Serialize};

/// When an event counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sync {
    /// Before an answer leaves, its events are with the operating system, which keeps them if the process dies; they
    /// are on the disk at most `sync_interval_ms` later. A power cut loses what came since.
    #[default]
    Interval,
    /// Before an answer leaves, its events are on the disk.
    Always,
}

/// The audit log of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// The directory of the log; `None` means `audit` in the data directory.
    #[serde(with = "empty_is_none")]
    pub dir: Option<PathBuf>,
    /// When an event counts as written: `interval` or `always`.
    pub sync: Sync,
    /// How often events are synced to the disk and a checkpoint is signed, in milliseconds.
    pub sync_interval_ms: u64,
    /// How many days an event is kept at least. Older ones are deleted; their hashes stay, so that the rest still can
    /// be verified.
    pub retention_days: u64,
    /// How much room the log may take, in bytes. A log that has reached it before its events may be deleted lets no
    /// more keys out.
    pub budget_bytes: u64,
    /// Where the budget is nearly used up, events that every receiver has may be deleted before their time.
    pub delete_shipped: bool,
    /// Room on the disk that is held back for events when others have filled it, in bytes; with less than a quarter of it
    /// left, no key is handed out until there is room again.
    pub held_back_bytes: u64,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            dir: None,
            sync: Sync::Interval,
            sync_interval_ms: 1000,
            retention_days: 365,
            budget_bytes: 64 * 1024 * 1024 * 1024,
            delete_shipped: false,
            held_back_bytes: 16 * 1024 * 1024,
        }
    }
}

impl AuditSettings {
    pub(crate) const fn sync_interval(&self) -> Duration {
        Duration::from_millis(self.sync_interval_ms)
    }

    pub(crate) const fn retention_ms(&self) -> u64 {
        self.retention_days.saturating_mul(24 * 60 * 60 * 1000)
    }
}
