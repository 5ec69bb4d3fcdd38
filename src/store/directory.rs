//! A node's data directory: its layout, whose it is, and that only one process has it open.
//!
//! ```text
//! identity.toml   node, cluster and format; written once
//! lock            held while open; not empty after an unclean stop
//! ballast         room kept for a full disk
//! log/            the Raft log
//! CURRENT         names the live state directory
//! state-<n>/      the tables
//! incoming/       snapshots being received; emptied at every start
//! rebuild/        what is to replace all of it: see [`Rebuild`](super::Rebuild)
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::{Identity, Incoming, StoreError, durable, identity, lock::Lock, rebuild};

pub(super) const LOG: &str = "log";
const INCOMING: &str = "incoming";

/// An open data directory. While it lives, no other process can open it.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    identity: ArcSwap<Identity>,
    received: AtomicU64,
    lock: Lock,
}

impl Directory {
    /// Opens `root` for `identity`, making and marking it when it is new or empty. A directory that is
    /// marked keeps its fence, whatever `identity` says.
    ///
    /// # Errors
    /// [`StoreError::HalfRebuilt`] when a recovery or restore was interrupted,
    /// [`StoreError::InUse`] when another process has it open, [`StoreError::OtherIdentity`] when
    /// it belongs to another node or cluster, [`StoreError::Unnamed`] when it holds data of nobody,
    /// and those of reading the identity.
    pub fn open(root: &Path, identity: &Identity) -> Result<Self, StoreError> {
        durable::create_directory(root)?;
        let lock = Lock::take(root)?;
        rebuild::refuse_half(root)?;
        let identity = match Identity::read(root)? {
            Some(found) => {
                identity.expect(&found, root)?;
                found
            }
            None if holds_data(root)? => {
                return Err(StoreError::Unnamed { path: root.to_owned(), file: identity::FILE });
            }
            None => {
                identity.write(root)?;
                identity.clone()
            }
        };
        durable::remove_directory(&root.join(INCOMING))?;
        durable::create_directory(&root.join(INCOMING))?;
        durable::create_directory(&root.join(LOG))?;
        Ok(Self {
            root: root.to_owned(),
            identity: ArcSwap::from_pointee(identity),
            received: AtomicU64::new(0),
            lock,
        })
    }

    /// Where it is; the tables are opened with this path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whose it is.
    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Takes over the fence of a recovered cluster, durably. For a node that belongs to nobody yet.
    ///
    /// # Errors
    /// An I/O error; the fence is then the one from before.
    pub fn adopt_fence(&self, fence: u64) -> Result<(), StoreError> {
        let adopted = Identity { fence, ..Identity::clone(&self.identity()) };
        adopted.write(&self.root)?;
        self.identity.store(Arc::new(adopted));
        Ok(())
    }

    /// The directory of the Raft log.
    pub fn log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    /// Whether the process that had it open before did not [`close`](Self::close) it.
    pub const fn was_unclean(&self) -> bool {
        self.lock.unclean()
    }

    /// Makes a file for a snapshot about to be received.
    ///
    /// # Errors
    /// An I/O error.
    pub fn receive(&self) -> Result<Incoming, StoreError> {
        let serial = self.received.fetch_add(1, Ordering::Relaxed);
        Incoming::create(self.root.join(INCOMING).join(format!("snapshot-{serial}")))
    }

    /// Marks a clean stop. Call it last, when the log and the tables are closed.
    ///
    /// # Errors
    /// An I/O error; the next start then counts as one after an unclean stop.
    pub fn close(self) -> Result<(), StoreError> {
        self.lock.release()
    }
}

/// Whether anything but an unused directory's own files is in `root`.
pub(super) fn holds_data(root: &Path) -> Result<bool, StoreError> {
    let log = root.join(LOG);
    let log_used = log.exists() && !is_empty(&log)?;
    Ok(log_used || super::states::States::new(root).exist()?)
}

fn is_empty(directory: &Path) -> Result<bool, StoreError> {
    Ok(fs::read_dir(directory).map_err(StoreError::io("read", directory))?.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Identity {
        Identity { cluster: "west".to_owned(), node: 3, fence: 0 }
    }

    #[test]
    fn a_second_opening_is_refused_and_names_the_process() {
        let home = tempfile::tempdir().unwrap();
        let first = Directory::open(home.path(), &three()).unwrap();
        let error = Directory::open(home.path(), &three()).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        Directory::open(home.path(), &three()).unwrap();
    }

    #[test]
    fn only_a_closed_directory_counts_as_cleanly_stopped() {
        let home = tempfile::tempdir().unwrap();
        let first = Directory::open(home.path(), &three()).unwrap();
        assert!(!first.was_unclean());
        drop(first);
        let second = Directory::open(home.path(), &three()).unwrap();
        assert!(second.was_unclean());
        second.close().unwrap();
        assert!(!Directory::open(home.path(), &three()).unwrap().was_unclean());
    }

    #[test]
    fn another_node_or_cluster_is_refused() {
        let home = tempfile::tempdir().unwrap();
        Directory::open(home.path(), &three()).unwrap().close().unwrap();
        for other in [Identity { node: 4, ..three() }, Identity { cluster: "east".to_owned(), ..three() }] {
            let error = Directory::open(home.path(), &other).unwrap_err();
            assert!(matches!(error, StoreError::OtherIdentity { .. }), "{error:?}");
            assert!(error.to_string().contains("node 3 of cluster \"west\""), "{error}");
        }
        assert_eq!(Identity::read(home.path()).unwrap(), Some(three()));
    }

    #[test]
    fn the_fence_of_a_directory_is_what_its_file_says() {
        let home = tempfile::tempdir().unwrap();
        let fenced = Identity { fence: 77, ..three() };
        Directory::open(home.path(), &fenced).unwrap().close().unwrap();
        let again = Directory::open(home.path(), &three()).unwrap();
        assert_eq!(again.identity().fence, 77);
        again.close().unwrap();
        // A file from before there were fences.
        fs::write(home.path().join(identity::FILE), "format = 1\ncluster = \"west\"\nnode = 3\n").unwrap();
        assert_eq!(Directory::open(home.path(), &three()).unwrap().identity().fence, 0);
    }

    #[test]
    fn data_without_an_identity_is_refused() {
        let home = tempfile::tempdir().unwrap();
        Directory::open(home.path(), &three()).unwrap().close().unwrap();
        fs::remove_file(home.path().join(identity::FILE)).unwrap();
        // So far nothing but empty directories: the identity is written anew.
        Directory::open(home.path(), &three()).unwrap().close().unwrap();
        fs::remove_file(home.path().join(identity::FILE)).unwrap();
        fs::write(home.path().join("log/r-0.wal"), "x").unwrap();
        let error = Directory::open(home.path(), &three()).unwrap_err();
        assert!(matches!(error, StoreError::Unnamed { .. }), "{error:?}");
    }

    #[test]
    fn a_newer_format_and_a_misspelt_key_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(identity::FILE);
        fs::write(&file, "format = 2\ncluster = \"west\"\nnode = 3\n").unwrap();
        assert!(matches!(
            Directory::open(home.path(), &three()),
            Err(StoreError::NewerFormat { found: 2, .. })
        ));
        fs::write(&file, "format = 1\ncluster = \"west\"\nnodes = 3\n").unwrap();
        assert!(matches!(Directory::open(home.path(), &three()), Err(StoreError::IdentityUnreadable { .. })));
    }

    #[test]
    fn half_received_snapshots_are_swept() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::open(home.path(), &three()).unwrap();
        let mut incoming = directory.receive().unwrap();
        incoming.write(b"half").unwrap();
        let left_by_a_crash = incoming.path().with_file_name("snapshot-left");
        fs::copy(incoming.path(), &left_by_a_crash).unwrap();
        let dropped = incoming.path().to_owned();
        drop(incoming);
        assert!(!dropped.exists());
        directory.close().unwrap();
        Directory::open(home.path(), &three()).unwrap();
        assert!(!left_by_a_crash.exists());
    }
}
