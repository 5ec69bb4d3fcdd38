//! The lock file: one process per data directory.
//!
//! The exclusion is a lock of the operating system, which ends with the process in any case. The content
//! names the last process that took it, for the error message to another one.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{StoreError, durable};

const FILE: &str = "lock";
/// A killed process holds its lock until the system has freed its memory; a process started right after it
/// waits up to this long.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A data directory held by this process.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of `root`.
    pub(super) fn take(root: &Path) -> Result<Self, StoreError> {
        let path = root.join(FILE);
        let mut file = durable::open_file(&path)?;
        let locked = lock_within(&file, PATIENCE);
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut mark = String::new();
                // An unreadable mark only costs the process id in a message.
                let is_named = file.read_to_string(&mut mark).is_ok_and(|bytes| bytes > 0);
                let holder = if is_named { mark.trim() } else { "unknown" }.to_owned();
                return Err(StoreError::InUse { path: root.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
        }
        let mut lock = Self { file, path };
        lock.write_mark(&format!("process {}\n", std::process::id()))?;
        Ok(lock)
    }

    fn write_mark(&mut self, mark: &str) -> Result<(), StoreError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(mark.as_bytes()))
            .and_then(|()| self.file.sync_all())
            .map_err(StoreError::io("write", &self.path))
    }
}

fn lock_within(file: &File, patience: Duration) -> Result<(), TryLockError> {
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOOK_EVERY),
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_about_to_be_free_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let held = Lock::take(root.path()).unwrap();
        let freed = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(held);
        });
        let _lock = Lock::take(root.path()).unwrap();
        freed.join().unwrap();
        let refused = Lock::take(root.path());
        assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    }
}
