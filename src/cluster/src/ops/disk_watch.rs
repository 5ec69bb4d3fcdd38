//! The node's disk: measured all the time, and protected before it is full.
//!
//! A node with too little free space is read-only. As a follower it refuses to store a leader's
//! proposals; as a leader it proposes nothing and transfers the leadership. It still answers reads,
//! and forwards writes to a leader with free space. It also votes, and appends the blank entry of a
//! new leader: both are tiny, and without them a cluster of full nodes could not even be read. The
//! node is writable again, without a restart, once there is free space. Without this, the log would
//! fail on the full disk, and the node with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::settings;
use keymoot_store::{Ballast, Space, StoreError};
use keymoot_telemetry::{LastingConditions, Metrics};

use crate::members::candidacy::Bar;
use crate::members::membership::Members;
use crate::ops::spare::{Sparing, is_due};
use crate::raft::Raft;
use crate::write::disk::{Disk, DiskState, Limits, nearest_directory};

/// How often the disk is measured: the writes in between must fit into the reserve.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
/// With less free space than this, the ballast is released while the node runs.
const LAST_BYTES: u64 = 1024 * 1024;
/// How often a full node tries to free space.
const MAKE_ROOM_EVERY: Duration = Duration::from_secs(60);

/// Measures the disk and decides when the node is read-only.
pub(crate) struct DiskWatch {
    root: PathBuf,
    settings: settings::DiskSection,
    metrics: Arc<Metrics>,
    state: watch::Sender<DiskState>,
    /// What does not work.
    lasting: LastingConditions<&'static str>,
}

impl DiskWatch {
    /// Measures the disk of the data directory `root`, before anything in it is opened, and
    /// releases the ballast when the disk is nearly full.
    ///
    /// # Errors
    /// When the file system cannot be measured.
    pub(crate) fn begin(
        root: &Path,
        settings: &settings::DiskSection,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Disk), StoreError> {
        let (state, disk) = Disk::channel();
        let watch = Self {
            root: root.to_owned(),
            settings: settings.clone(),
            metrics,
            state,
            lasting: LastingConditions::new(),
        };
        let space = Space::of(nearest_directory(root))?;
        let limits = Limits::of(&watch.settings, space);
        if space.free_bytes < limits.free_bytes_min && watch.ballast(limits).release()? {
            tracing::warn!(free_bytes = space.free_bytes, "the disk is nearly full: the ballast is given up");
        }
        // No ballast is made yet, because the owner of the directory has not been checked.
        watch.take(Space::of(nearest_directory(root))?, false);
        Ok((watch, disk))
    }

    /// Measures until the node stops, and transfers the leadership while the disk is full.
    pub(crate) async fn run(self, raft: Raft, members: Arc<Members>) {
        let mut tick = tokio::time::interval(MEASURE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // A leader with a full disk writes nothing, so it looks for a voter with free space.
        let (mut made_room, mut sparing) = (None, Sparing::new(Bar::FullDisk));
        let mut watch = self;
        loop {
            tick.tick().await;
            let measuring = tokio::task::spawn_blocking(move || {
                watch.measure();
                watch
            });
            let Ok(measured) = measuring.await else { return };
            watch = measured;
            let read_only = watch.state.borrow().read_only;
            if read_only {
                if is_due(&mut made_room, MAKE_ROOM_EVERY) {
                    make_room(&raft).await;
                }
                sparing.spare(&members).await;
            } else {
                (made_room, sparing) = (None, Sparing::new(Bar::FullDisk));
                members.bar(Bar::FullDisk, false);
            }
        }
    }

    fn measure(&self) {
        match Space::of(&self.root) {
            Ok(space) => self.take(space, true),
            Err(error) => {
                if let Some(unlogged) = self.lasting.note("measure") {
                    tracing::warn!(%error, unlogged, "the disk cannot be measured");
                }
            }
        }
    }

    fn take(&self, space: Space, may_make_ballast: bool) {
        let limits = Limits::of(&self.settings, space);
        let ballast = self.ballast(limits);
        let was = self.state.borrow().read_only;
        let next = limits.decide(was, space.free_bytes, ballast.missing_bytes());
        if may_make_ballast
            && next.make_ballast
            && let Err(error) = ballast.make()
            && let Some(unlogged) = self.lasting.note("ballast")
        {
            tracing::warn!(%error, unlogged, "no room can be kept for a full disk");
        }
        if next.read_only && space.free_bytes < LAST_BYTES {
            self.release(ballast);
        }
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics.disk_free_bytes.set(bytes(space.free_bytes));
        self.metrics.disk_total_bytes.set(bytes(space.total_bytes));
        self.metrics.disk_read_only.set(next.read_only.into());
        let (free_bytes, free_bytes_min) = (space.free_bytes, limits.free_bytes_min);
        match (was, next.read_only) {
            (false, true) => tracing::error!(
                free_bytes,
                free_bytes_min,
                data_dir = %self.root.display(),
                "the disk is nearly full: the node is read-only until there is room; free some, or enlarge it"
            ),
            (true, false) => tracing::info!(free_bytes, "the disk has room again: the node writes again"),
            _ => {}
        }
        self.state.send_replace(DiskState { space, read_only: next.read_only });
    }

    /// Makes room for votes and the blank entries of new leaders, which a read-only node still stores.
    fn release(&self, ballast: Ballast) {
        match ballast.release() {
            Ok(true) => tracing::warn!("the disk is full: the ballast is given up"),
            Ok(false) => {}
            Err(error) => {
                if let Some(unlogged) = self.lasting.note("release") {
                    tracing::warn!(%error, unlogged, "the ballast cannot be given up");
                }
            }
        }
    }

    fn ballast(&self, limits: Limits) -> Ballast {
        Ballast::new(&self.root, limits.ballast_bytes)
    }
}

/// Frees the space that this node can free: the log that a snapshot covers is purged.
async fn make_room(raft: &Raft) {
    if let Err(error) = raft.trigger().snapshot().await {
        tracing::debug!(%error, "no snapshot was made on the full disk");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::disk::FREE_PART;

    #[test]
    fn a_directory_that_is_not_there_yet_is_measured_and_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("a/b");
        let metrics = Arc::new(Metrics::new().unwrap());
        let settings = settings::DiskSection { free_bytes_min: 1, ballast_bytes: 4096 };
        let (watch, disk) = DiskWatch::begin(&root, &settings, metrics).unwrap();
        assert!(disk.state().space.total_bytes > 0 && !disk.is_read_only() && !root.exists());
        std::fs::create_dir_all(&root).unwrap();
        watch.measure();
        assert_eq!(std::fs::metadata(root.join("ballast")).unwrap().len(), 4096);
    }

    #[test]
    fn a_start_on_a_full_disk_gives_the_ballast_up() {
        let home = tempfile::tempdir().unwrap();
        let space = Space::of(home.path()).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        // The limit is more than the free space; a twentieth of the disk may be less than that.
        let settings = settings::DiskSection { free_bytes_min: u64::MAX, ballast_bytes: 4096 };
        Ballast::new(home.path(), 4096).make().unwrap();
        let (_watch, disk) = DiskWatch::begin(home.path(), &settings, metrics).unwrap();
        let full = space.free_bytes < space.total_bytes / FREE_PART;
        assert_eq!(disk.is_read_only(), full);
        assert_eq!(home.path().join("ballast").exists(), !full);
    }
}
