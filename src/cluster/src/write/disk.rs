//! The free space on this node's disk as last measured, and the limits for it: too little makes the
//! node read-only.

use std::path::Path;

use tokio::sync::watch;

use keymoot_store::{Space, StoreError};

use crate::settings::DiskSection;

/// The free space that is demanded is at most this fraction of the disk: 1/20.
pub(crate) const FREE_PART: u64 = 20;

/// The ballast is at most this fraction of the disk: 1/100.
const BALLAST_PART: u64 = 100;

/// The last measurement of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskState {
    pub space: Space,
    /// Whether there is too little free space for the node to write.
    pub read_only: bool,
}

/// This node's view of its disk. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    state: watch::Receiver<DiskState>,
}

impl Disk {
    /// A disk that is not measured yet, and the sender of its measurements.
    pub(crate) fn channel() -> (watch::Sender<DiskState>, Self) {
        let (measured, state) = watch::channel(DiskState::default());
        (measured, Self { state })
    }

    /// The last measurement.
    pub(crate) fn state(&self) -> DiskState {
        *self.state.borrow()
    }

    /// Whether there is too little free space for the node to write.
    pub(crate) fn is_read_only(&self) -> bool {
        self.state.borrow().read_only
    }

    /// Waits until the node is read-only; for ever, once the disk is not measured any more.
    pub(crate) async fn read_only(&self) {
        let mut state = self.state.clone();
        if state.wait_for(|disk| disk.read_only).await.is_err() {
            std::future::pending().await
        }
    }
}

impl DiskState {
    /// The disk of a data directory, as a node with these settings would see it at its start.
    ///
    /// # Errors
    /// When the file system cannot be measured.
    pub fn measure(root: &Path, settings: &DiskSection) -> Result<Self, StoreError> {
        let space = Space::of(nearest_directory(root))?;
        let read_only = space.free_bytes < Limits::of(settings, space).free_bytes_min;
        Ok(Self { space, read_only })
    }
}

/// The directory at `path`, or the nearest parent that exists.
pub(crate) fn nearest_directory(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."))
}

/// The limits for a disk of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub free_bytes_min: u64,
    pub ballast_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub read_only: bool,
    pub make_ballast: bool,
}

impl Limits {
    pub(crate) fn of(settings: &DiskSection, space: Space) -> Self {
        Self {
            free_bytes_min: settings.free_bytes_min.min(space.total_bytes / FREE_PART),
            ballast_bytes: settings.ballast_bytes.min(space.total_bytes / BALLAST_PART),
        }
    }

    /// A read-only node becomes writable only with a quarter more than the minimum, and only when
    /// the ballast fits in too: otherwise it would be read-only again at once.
    pub(crate) fn decide(self, was_read_only: bool, free_bytes: u64, ballast_missing_bytes: u64) -> Decision {
        let enough = self.free_bytes_min.saturating_add(self.free_bytes_min / 4);
        let roomy = free_bytes >= enough.saturating_add(ballast_missing_bytes);
        Decision {
            read_only: if was_read_only { !roomy } else { free_bytes < self.free_bytes_min },
            make_ballast: roomy && ballast_missing_bytes > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { free_bytes_min: 100, ballast_bytes: 10 };

    impl Limits {
        fn with(self, free_bytes_min: u64, ballast_bytes: u64) -> Self {
            Self { free_bytes_min, ballast_bytes }
        }
    }

    #[test]
    fn a_small_disk_is_asked_for_little() {
        let settings = DiskSection::default();
        let limits = |total_bytes| Limits::of(&settings, Space { free_bytes: 0, total_bytes });
        assert_eq!(limits(u64::MAX).free_bytes_min, settings.free_bytes_min);
        assert_eq!(limits(u64::MAX).ballast_bytes, settings.ballast_bytes);
        assert_eq!(limits(2000), LIMITS.with(100, 20));
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
}
