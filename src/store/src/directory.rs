//! A node's data directory: its layout, its owner, and its lock, which admits one process.
//!
//! ```text
//! identity.toml   node, cluster and format; written once
//! incarnations.toml   which directory this is, and which ones its peers had: see `incarnations.rs`
//! starts.toml     its starts, and what its peers were seen to do: see `starts.rs`
//! quorum-contact.toml   when the node was last in contact with a quorum: see `quorum_contact.rs`
//! diverged.toml   why no node starts from this directory again: see `divergence.rs`
//! lock            held while open; names the process
//! ballast         reserves disk space for a full disk
//! log/            the Raft log
//! CURRENT         names the live state directory
//! state-<n>/      the tables
//! incoming/       snapshots being received; emptied at every start
//! rebuild/        new contents that will replace the old ones: see [`Rebuild`](super::Rebuild)
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::incarnations::Incarnations;
use super::starts::{PeerMemory, Start, Starts};
use super::{
    Divergence, Identity, Incarnation, Incoming, StoreError, durable, identity, lock::Lock, log, rebuild,
};
use super::{LogPosition, StoredVote};

pub(super) const LOG: &str = "log";
const INCOMING: &str = "incoming";

/// An open data directory. While it lives, no other process can open it.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    identity: ArcSwap<Identity>,
    incarnations: Mutex<Incarnations>,
    starts: Mutex<Starts>,
    received: AtomicU64,
    /// Held while this value lives.
    _lock: Lock,
}

impl Directory {
    /// Opens `root` for `identity`; creates it, or writes the identity file, when it is new or empty. An
    /// existing identity file keeps its fence, whatever the fence of `identity`.
    ///
    /// # Errors
    /// [`StoreError::HalfRebuilt`] when a recovery or restore was interrupted, [`StoreError::Diverged`] when
    /// the directory is marked as not that of its cluster, [`StoreError::InUse`] when
    /// another process has it open, [`StoreError::OtherIdentity`] when it belongs to another node or cluster,
    /// [`StoreError::Unnamed`] when it holds data but no identity, and the errors of reading the identity and
    /// the incarnations.
    pub fn open(root: &Path, identity: &Identity) -> Result<Self, StoreError> {
        durable::create_directory(root)?;
        let lock = Lock::take(root)?;
        rebuild::refuse_half(root)?;
        Divergence::refuse(root)?;
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
        let is_known = log::holds_bytes(&root.join(LOG))? || super::states::States::new(root).exist()?;
        let incarnations = Incarnations::open(root, identity.fence, is_known)?;
        let starts = Starts::begin(root, identity.fence, incarnations.own)?;
        durable::remove_directory(&root.join(INCOMING))?;
        durable::create_directory(&root.join(INCOMING))?;
        durable::create_directory(&root.join(LOG))?;
        Ok(Self {
            root: root.to_owned(),
            identity: ArcSwap::from_pointee(identity),
            incarnations: Mutex::new(incarnations),
            starts: Mutex::new(starts),
            received: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// The path of the directory; the tables are opened with it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn identity(&self) -> Arc<Identity> {
        self.identity.load_full()
    }

    /// Marks the directory, durably, as one that no node starts from again. An earlier mark stays.
    ///
    /// # Errors
    /// An I/O error; the directory is not marked then.
    pub fn mark_diverged(&self, divergence: &Divergence) -> Result<(), StoreError> {
        divergence.write(&self.root)
    }

    /// Adopts the fence of a recovered cluster, durably. For a node that belongs to no cluster yet.
    /// Incarnations of peers met under the old fence are dropped.
    ///
    /// # Errors
    /// An I/O error; the fence is then unchanged.
    pub fn adopt_fence(&self, fence: u64) -> Result<(), StoreError> {
        let mut incarnations = self.incarnations();
        let adopted = Identity { fence, ..Identity::clone(&self.identity()) };
        adopted.write(&self.root)?;
        self.identity.store(Arc::new(adopted));
        // The peers on disk are void already: their file names the old fence.
        *incarnations = Incarnations { fence, own: incarnations.own, peers: BTreeMap::new() };
        self.starts().enter_fence(fence);
        Ok(())
    }

    /// The incarnation, which identifies this directory among all that the node ever had.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnations().own
    }

    /// Draws a new incarnation, durably, if there is no log, because the node's earlier votes are lost. Only
    /// for empty tables: a node with filled tables and no log is refused, and keeps its incarnation in case
    /// the log is put back.
    ///
    /// # Errors
    /// An I/O error.
    pub fn renew_without_log(&self) -> Result<(), StoreError> {
        if !self.holds_log()? {
            let mut incarnations = self.incarnations();
            *incarnations = Incarnations::open(&self.root, incarnations.fence, false)?;
            *self.starts() = Starts::begin(&self.root, incarnations.fence, incarnations.own)?;
        }
        Ok(())
    }

    /// Whether the directory holds bytes of a Raft log.
    ///
    /// # Errors
    /// An I/O error.
    pub fn holds_log(&self) -> Result<bool, StoreError> {
        log::holds_bytes(&self.log())
    }

    /// The remembered incarnation of a peer.
    pub fn remembered(&self, peer: u64) -> Option<Incarnation> {
        self.incarnations().peers.get(&peer).copied()
    }

    /// Remembers, durably, the first incarnation met of a peer under this fence. Returns the remembered one,
    /// which differs from `met` if another was met first.
    ///
    /// # Errors
    /// [`StoreError::OtherFence`] when the fence has changed, or an I/O error; nothing is remembered then.
    pub fn remember(&self, fence: u64, peer: u64, met: Incarnation) -> Result<Incarnation, StoreError> {
        let mut incarnations = self.incarnations();
        if incarnations.fence != fence {
            return Err(StoreError::OtherFence);
        }
        if let Some(first) = incarnations.peers.get(&peer) {
            return Ok(*first);
        }
        let mut more = incarnations.clone();
        more.peers.insert(peer, met);
        more.write(&self.root)?;
        *incarnations = more;
        Ok(met)
    }

    /// The present start of the node on this directory.
    pub fn start(&self) -> Start {
        self.starts().current()
    }

    /// Notes, durably, that a peer may hear of the present start from now on.
    ///
    /// # Errors
    /// An I/O error; no peer may hear of it then.
    pub fn announce_start(&self) -> Result<(), StoreError> {
        self.starts().announce(&self.root)
    }

    /// Whether this directory had that start.
    pub fn has_started(&self, start: Start) -> bool {
        self.starts().holds(start)
    }

    /// What is remembered of a peer.
    pub fn memory_of(&self, peer: u64) -> Option<PeerMemory> {
        self.starts().peers.get(&peer).cloned()
    }

    /// What is remembered of all peers.
    pub fn memories(&self) -> BTreeMap<u64, PeerMemory> {
        self.starts().peers.clone()
    }

    /// Remembers, durably, what a peer was met with under this fence.
    ///
    /// # Errors
    /// [`StoreError::OtherFence`] when the fence has changed, or an I/O error; nothing is remembered then.
    pub fn meet(&self, fence: u64, peer: u64, met: PeerMemory) -> Result<(), StoreError> {
        self.starts().meet(&self.root, fence, peer, met)
    }

    /// Notes the last vote and the last committed entry that a peer has on its disk.
    /// [`Self::write_memory`] writes them.
    pub fn note_progress(&self, peer: u64, vote: Option<StoredVote>, held: Option<LogPosition>) {
        self.starts().note(peer, vote, held);
    }

    /// Writes what was noted of peers since the last time.
    ///
    /// # Errors
    /// An I/O error; what was noted is written the next time.
    pub fn write_memory(&self) -> Result<(), StoreError> {
        self.starts().write_out(&self.root)
    }

    fn starts(&self) -> MutexGuard<'_, Starts> {
        // As for the incarnations.
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn incarnations(&self) -> MutexGuard<'_, Incarnations> {
        // The value is replaced as a whole, after everything that can fail, so a poisoned lock still guards a
        // whole one.
        self.incarnations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory of the Raft log.
    pub fn log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    /// Creates a file for a snapshot to be received.
    ///
    /// # Errors
    /// An I/O error.
    pub fn receive(&self) -> Result<Incoming, StoreError> {
        let serial = self.received.fetch_add(1, Ordering::Relaxed);
        Incoming::create(self.root.join(INCOMING).join(format!("snapshot-{serial}")))
    }
}

/// Whether `root` holds anything besides the files of an unused directory.
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
    use crate::{Log, LogOptions};

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
    fn another_node_or_cluster_is_refused() {
        let home = tempfile::tempdir().unwrap();
        drop(Directory::open(home.path(), &three()).unwrap());
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
        drop(Directory::open(home.path(), &fenced).unwrap());
        let again = Directory::open(home.path(), &three()).unwrap();
        assert_eq!(again.identity().fence, 77);
        drop(again);
        // A file from a version without fences.
        fs::write(home.path().join(identity::FILE), "format = 1\ncluster = \"west\"\nnode = 3\n").unwrap();
        assert_eq!(Directory::open(home.path(), &three()).unwrap().identity().fence, 0);
    }

    #[test]
    fn the_first_incarnation_of_a_peer_is_remembered_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let (one, other) = (Incarnation::from_number(1), Incarnation::from_number(2));
        let directory = Directory::open(home.path(), &three()).unwrap();
        let own = directory.incarnation();
        assert_eq!(directory.remembered(1), None);
        assert_eq!(directory.remember(0, 1, one).unwrap(), one);
        assert_eq!(directory.remember(0, 1, other).unwrap(), one);
        assert!(matches!(directory.remember(7, 2, other), Err(StoreError::OtherFence)));
        Log::open(&directory.log(), LogOptions::default()).unwrap();
        drop(directory);
        let again = Directory::open(home.path(), &three()).unwrap();
        assert_eq!((again.incarnation(), again.remembered(1), again.remembered(2)), (own, Some(one), None));
    }

    #[test]
    fn a_directory_from_before_gets_an_incarnation_once_and_an_emptied_one_another() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::open(home.path(), &three()).unwrap();
        Log::open(&directory.log(), LogOptions::default()).unwrap();
        drop(directory);
        // The directory as an earlier version left it.
        fs::remove_file(home.path().join("incarnations.toml")).unwrap();
        let of = |home: &Path| Directory::open(home, &three()).unwrap().incarnation();
        let given = of(home.path());
        assert_eq!(of(home.path()), given);
        // A person who empties the directory may leave the small files behind, among them the lock of the
        // log.
        for entry in fs::read_dir(home.path().join(LOG)).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name != "LOCK") {
                fs::remove_file(path).unwrap();
            }
        }
        assert!(home.path().join(LOG).join("LOCK").exists());
        assert_ne!(of(home.path()), given);
    }

    #[test]
    fn who_takes_over_a_fence_remembers_nobody_whom_it_met_before() {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::open(home.path(), &three()).unwrap();
        Log::open(&directory.log(), LogOptions::default()).unwrap();
        let own = directory.incarnation();
        directory.remember(0, 1, Incarnation::from_number(1)).unwrap();
        directory.adopt_fence(7).unwrap();
        assert_eq!(directory.remembered(1), None);
        drop(directory);
        let again = Directory::open(home.path(), &three()).unwrap();
        assert_eq!((again.incarnation(), again.remembered(1)), (own, None));
        again.remember(7, 1, Incarnation::from_number(2)).unwrap();
        assert_eq!(again.remembered(1), Some(Incarnation::from_number(2)));
    }

    #[test]
    fn data_without_an_identity_is_refused() {
        let home = tempfile::tempdir().unwrap();
        drop(Directory::open(home.path(), &three()).unwrap());
        fs::remove_file(home.path().join(identity::FILE)).unwrap();
        // Only empty directories so far: the identity is written again.
        drop(Directory::open(home.path(), &three()).unwrap());
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
        drop(directory);
        Directory::open(home.path(), &three()).unwrap();
        assert!(!left_by_a_crash.exists());
    }
}
