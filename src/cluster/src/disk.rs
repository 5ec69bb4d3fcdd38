//! The node's disk: measured all the time, and spared before it is full.
//!
//! A node with too little room is read-only: it appends no proposal to its log for a leader, proposes
//! nothing as a leader, and transfers the leadership; it goes on answering reads, and forwards
//! writes to a leader that has room. It still votes, and appends the blank entry of a new leader: both
//! are tiny, and without them a cluster of full nodes could not even be read. It is a node like any other again by itself once there is
//! room. Without this, the log would fail on the full disk, and the node with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::settings;
use keymoot_store::{Ballast, Space, StoreError};
use keymoot_telemetry::Metrics;

use super::node::Node;

/// How often the disk is measured: what is written in between must fit into what is kept free.
const MEASURE_EVERY: Duration = Duration::from_millis(100);
/// How often a full node tries to make room.
const MAKE_ROOM_EVERY: Duration = Duration::from_secs(60);
/// How often a full leader looks for a voter with room: nothing is written while it leads.
const TRANSFER_EVERY: Duration = Duration::from_millis(500);
/// How often it says that there is none.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
/// The largest part of a disk that is asked to be free: one in so many.
const FREE_PART: u64 = 20;
/// The largest part of a disk that is kept as ballast: one in so many.
const BALLAST_PART: u64 = 100;

/// The disk as last measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskState {
    /// Its room.
    pub space: Space,
    /// Whether there is too little for the node to write.
    pub read_only: bool,
}

/// The disk as the node sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Disk {
    state: watch::Receiver<DiskState>,
}

impl Disk {
    /// As last measured.
    pub fn state(&self) -> DiskState {
        *self.state.borrow()
    }

    /// Whether there is too little room for the node to write.
    pub fn is_read_only(&self) -> bool {
        self.state.borrow().read_only
    }
}

impl DiskState {
    /// The disk of a data directory as a node of these settings would see it at its start.
    ///
    /// # Errors
    /// When the file system cannot be measured.
    pub fn measure(root: &Path, settings: &settings::DiskSection) -> Result<Self, StoreError> {
        let space = Space::of(nearest_directory(root))?;
        let read_only = space.free_bytes < Limits::of(settings, space).free_bytes_min;
        Ok(Self { space, read_only })
    }
}

/// The directory at `path`, or what will hold it.
fn nearest_directory(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."))
}

/// Measures the disk and says when the node is read-only.
pub struct DiskWatch {
    root: PathBuf,
    settings: settings::DiskSection,
    metrics: Arc<Metrics>,
    state: watch::Sender<DiskState>,
}

impl DiskWatch {
    /// Measures the disk of the data directory `root`, before anything in it is opened, and gives
    /// the ballast up when it is nearly full.
    ///
    /// # Errors
    /// When the file system cannot be measured.
    pub fn begin(
        root: &Path,
        settings: &settings::DiskSection,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Disk), StoreError> {
        let (state, known) = watch::channel(DiskState::default());
        let watch = Self { root: root.to_owned(), settings: settings.clone(), metrics, state };
        let space = Space::of(nearest_directory(root))?;
        let limits = Limits::of(&watch.settings, space);
        if space.free_bytes < limits.free_bytes_min && watch.ballast(limits).release()? {
            tracing::warn!(free_bytes = space.free_bytes, "the disk is nearly full: the ballast is given up");
        }
        // Nothing is made yet: whose directory it is was not looked at.
        watch.take(Space::of(nearest_directory(root))?, false);
        Ok((watch, Disk { state: known }))
    }

    /// Measures for ever, and transfers the leadership while the disk is full.
    pub async fn run(self, node: Arc<Node>) {
        let mut tick = tokio::time::interval(MEASURE_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pace = Pace::default();
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
            if read_only { pace.spare(&node).await } else { pace = Pace::default() }
        }
    }

    fn measure(&self) {
        match Space::of(&self.root) {
            Ok(space) => self.take(space, true),
            Err(error) => tracing::warn!(%error, "the disk cannot be measured"),
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
        {
            tracing::warn!(%error, "no room can be kept for a full disk");
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

    fn ballast(&self, limits: Limits) -> Ballast {
        Ballast::new(&self.root, limits.ballast_bytes)
    }
}

/// When a full node last did what it does about that.
#[derive(Default)]
struct Pace {
    made_room: Option<Instant>,
    transferred: Option<Instant>,
    complained: Option<Instant>,
}

impl Pace {
    /// Makes room, and transfers the leadership. A node that is elected while it is full does so at once.
    async fn spare(&mut self, node: &Node) {
        if is_due(&mut self.made_room, MAKE_ROOM_EVERY) {
            node.make_room().await;
        }
        if !node.leads() {
            self.transferred = None;
        } else if is_due(&mut self.transferred, TRANSFER_EVERY)
            && let Err(error) = node.transfer_leader_away(false).await
            && is_due(&mut self.complained, COMPLAIN_EVERY)
        {
            tracing::warn!(%error, "the leadership stays on a full disk, and nothing is written");
        }
    }
}

/// Whether something was not done for so long; it is done now then.
fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// What is asked of a disk of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    free_bytes_min: u64,
    ballast_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decision {
    read_only: bool,
    make_ballast: bool,
}

impl Limits {
    fn of(settings: &settings::DiskSection, space: Space) -> Self {
        Self {
            free_bytes_min: settings.free_bytes_min.min(space.total_bytes / FREE_PART),
            ballast_bytes: settings.ballast_bytes.min(space.total_bytes / BALLAST_PART),
        }
    }

    /// A node that is read-only writes again only with a quarter more than the least, and only when
    /// the ballast fits in too: else it would be read-only again at once.
    fn decide(self, was_read_only: bool, free_bytes: u64, ballast_missing_bytes: u64) -> Decision {
        let enough = self.free_bytes_min.saturating_add(self.free_bytes_min / 4);
        let roomy = free_bytes >= enough.saturating_add(ballast_missing_bytes);
        Decision {
            read_only: if was_read_only { !roomy } else { free_bytes < self.free_bytes_min },
            make_ballast: roomy && ballast_missing_bytes > 0,
        }
    }
}

/// What the files under a directory take. They may come and go meanwhile: what cannot be looked at
/// does not count.
pub fn bytes_under(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_under(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_below_a_directory_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/x"), [0; 30]).unwrap();
        std::fs::write(dir.path().join("y"), [0; 12]).unwrap();
        assert_eq!((bytes_under(dir.path()), bytes_under(&dir.path().join("nowhere"))), (42, 0));
    }

    const LIMITS: Limits = Limits { free_bytes_min: 100, ballast_bytes: 10 };

    #[test]
    fn a_small_disk_is_asked_for_little() {
        let settings = settings::DiskSection::default();
        let limits = |total_bytes| Limits::of(&settings, Space { free_bytes: 0, total_bytes });
        assert_eq!(limits(u64::MAX).free_bytes_min, settings.free_bytes_min);
        assert_eq!(limits(u64::MAX).ballast_bytes, settings.ballast_bytes);
        assert_eq!(limits(2000), LIMITS.with(100, 20));
    }

    impl Limits {
        fn with(self, free_bytes_min: u64, ballast_bytes: u64) -> Self {
            Self { free_bytes_min, ballast_bytes }
        }
    }

    #[test]
    fn a_node_is_read_only_below_the_mark_and_comes_back_well_above_it() {
        assert!(!LIMITS.decide(false, 100, 0).read_only);
        assert!(LIMITS.decide(false, 99, 0).read_only);
        assert!(LIMITS.decide(true, 124, 0).read_only);
        assert!(!LIMITS.decide(true, 125, 0).read_only);
    }

    #[test]
    fn ballast_is_made_only_where_it_leaves_enough() {
        assert_eq!(LIMITS.decide(true, 134, 10), Decision { read_only: true, make_ballast: false });
        assert_eq!(LIMITS.decide(true, 135, 10), Decision { read_only: false, make_ballast: true });
        assert!(!LIMITS.decide(false, 120, 10).make_ballast);
        assert!(!LIMITS.decide(false, 500, 0).make_ballast);
    }

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
        // More is asked for than is free; a twentieth of the disk may be less than that.
        let settings = settings::DiskSection { free_bytes_min: u64::MAX, ballast_bytes: 4096 };
        Ballast::new(home.path(), 4096).make().unwrap();
        let (_watch, disk) = DiskWatch::begin(home.path(), &settings, metrics).unwrap();
        let full = space.free_bytes < space.total_bytes / FREE_PART;
        assert_eq!(disk.is_read_only(), full);
        assert_eq!(home.path().join("ballast").exists(), !full);
    }
}
