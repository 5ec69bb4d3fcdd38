//! Files that are read again when they change, while the program runs.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Files, and when each was last changed as far as that was seen; `None` for one that cannot be accessed.
pub(super) struct FollowedFiles {
    paths: Vec<PathBuf>,
    seen: Mutex<Vec<Option<SystemTime>>>,
}

impl FollowedFiles {
    /// Follows these from now on; what is in them is read afterwards.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = Mutex::new(changed(&paths));
        Self { paths, seen }
    }

    /// Runs `load` if one of them changed since the last time, and returns whether it did. After an error it is not run
    /// again before one of them changes again.
    ///
    /// # Errors
    /// Those of `load`.
    pub(super) fn if_changed<E>(&self, load: impl FnOnce() -> Result<(), E>) -> Result<bool, E> {
        let changed = changed(&self.paths);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == changed {
            return Ok(false);
        }
        *seen = changed;
        load().map(|()| true)
    }
}

fn changed(paths: &[PathBuf]) -> Vec<Option<SystemTime>> {
    paths.iter().map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok()).collect()
}
