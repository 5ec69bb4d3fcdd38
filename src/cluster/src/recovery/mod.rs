//! Recovery of a cluster from one survivor, when the quorum is lost for ever.
//!
//! All entries of the survivor are applied, even those that it does not know to be committed: they
//! may have been acknowledged. Entries that only the lost nodes had are gone. The new cluster has
//! one member and a new fence, so that a lost node that comes back is refused. The old contents of
//! the data directory are kept.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;

use keymoot_crypto::random_bytes;
use keymoot_model::ClusterName;
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{AuthorityRecord, TABLE_NAMES};
use keymoot_store::{
    Directory, Identity, Log, LogOptions, LogPosition, Rebuild, SnapshotReader, SnapshotWriter, StoreError,
    StoredVote, Tables, TablesOptions,
};

use crate::raft::rebuild::{self, Foundation, RebuildError};
use crate::raft::state_machine::{META_MARK, mark_of};
use crate::raft::state_view::StateView;
use crate::wire::raft_codec::AppliedMark;

/// The most bytes of log entries that are applied in one batch.
const RUN_BYTES_MAX: usize = 1024 * 1024;

/// The data of a survivor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    pub node: NodeId,
    pub cluster: String,
    /// The present fence of its data directory.
    pub fence: u64,
    /// The position of the last applied entry.
    pub applied: Option<LogPosition>,
    /// The last entry of its log; the last applied one when the log is empty.
    pub last: Option<LogPosition>,
    /// The last entry that it knew to be committed.
    pub committed: Option<LogPosition>,
    /// The last vote that it gave.
    pub vote: Option<StoredVote>,
    /// The members that it knows, with their addresses.
    pub members: BTreeMap<NodeId, String>,
    /// The ids of the members that vote.
    pub voters: Vec<NodeId>,
    /// The time at which its log was last written.
    pub written_at: Option<SystemTime>,
    /// The digest of its applied state, as a text.
    pub digest: String,
    /// The certificate authority of its cluster, if the cluster holds the key.
    pub authority: Option<AuthorityRecord>,
}

impl Survivor {
    /// The number of entries that it has and has not applied, because it did not know that they are
    /// committed.
    pub fn unapplied_entries(&self) -> u64 {
        let index = |at: Option<LogPosition>| at.map_or(0, |at| at.index);
        index(self.last).saturating_sub(index(self.applied))
    }
}

/// A data directory of a survivor, locked so that no other process can use it.
#[derive(Debug)]
pub struct Recovery {
    rebuild: Rebuild,
    identity: Identity,
}

/// The outcome of a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The new fence.
    pub fence: u64,
    /// The position of the last entry in it.
    pub applied: LogPosition,
    /// The path of the old contents.
    pub kept: Option<PathBuf>,
}

/// Why a survivor cannot be inspected or recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// There is nothing to recover from.
    #[error("{} holds no node's data; give the configuration of a node that has been a member", path.display())]
    Empty { path: PathBuf },
    /// The data directory belongs to another node.
    #[error("{} holds the data of node {node} of cluster {cluster:?}; give the configuration of that node", path.display())]
    Other { path: PathBuf, node: u64, cluster: String },
    /// The state cannot be read.
    #[error("the state cannot be read")]
    State(#[from] state::StateError),
    /// The log or the mark of the applied state cannot be read.
    #[error("the log cannot be read")]
    Log(#[source] io::Error),
    /// The new directory cannot be built.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// The operating system's randomness failed, so no fence was chosen.
    #[error("no fence can be drawn")]
    Random(#[from] keymoot_crypto::RandomError),
}

impl From<StoreError> for RecoveryError {
    fn from(error: StoreError) -> Self {
        Self::Rebuild(error.into())
    }
}

/// The result of opening a data directory.
#[derive(Debug)]
pub enum Taken {
    /// The data of a survivor.
    Survivor(Recovery),
    /// A recovery or restore that was interrupted, and is now complete: the fence, and the old
    /// contents.
    Finished {
        /// The fence of the new contents.
        fence: u64,
        /// The path of the old contents.
        kept: PathBuf,
    },
}

impl Recovery {
    /// Opens the data directory of `node`. Nothing is changed, except that a recovery that was
    /// interrupted at its very end is completed.
    ///
    /// # Errors
    /// [`RecoveryError`] when the directory cannot be used; that of a running node is locked.
    pub fn take(root: &Path, cluster: &ClusterName, node: NodeId) -> Result<Taken, RecoveryError> {
        let rebuild = Rebuild::take(root)?;
        let identity = rebuild.identity()?;
        if let (Some(kept), Some(identity)) = (rebuild.finished_earlier(), &identity) {
            let (kept, fence) = (kept.to_owned(), identity.fence);
            rebuild.abandon()?;
            return Ok(Taken::Finished { fence, kept });
        }
        match identity {
            Some(identity) if identity.node == node && identity.cluster == cluster.as_str() => {
                Ok(Taken::Survivor(Self { rebuild, identity }))
            }
            Some(Identity { node, cluster, .. }) => {
                rebuild.abandon()?;
                Err(RecoveryError::Other { path: root.to_owned(), node, cluster })
            }
            None => {
                rebuild.abandon()?;
                Err(RecoveryError::Empty { path: root.to_owned() })
            }
        }
    }

    /// Inspects the survivor's data.
    ///
    /// # Errors
    /// [`RecoveryError`], also when log or tables are damaged.
    pub fn survey(&self) -> Result<Survivor, RecoveryError> {
        let written_at = newest(&self.rebuild.log());
        let (tables, log) = self.open()?;
        let mark = mark(&tables)?;
        let members = mark.membership.unwrap_or_else(|| crate::wire::raft_codec::WireMembership {
            voters: Vec::new(),
            nodes: BTreeMap::new(),
        });
        let view = StateView::new(tables);
        Ok(Survivor {
            node: self.identity.node,
            cluster: self.identity.cluster.clone(),
            fence: self.identity.fence,
            applied: mark.applied,
            last: log.bounds().1.max(mark.applied),
            // The log may know of fewer committed entries than the tables hold.
            committed: log.read_committed().max(mark.applied),
            vote: log.read_vote(),
            voters: members.voters.into_iter().flatten().collect(),
            members: members.nodes.into_iter().map(|(id, member)| (id, member.peer_address)).collect(),
            written_at,
            digest: state::digest(&view)?.to_string(),
            authority: state::authority(&view)?,
        })
    }

    /// Makes the node the only member of a cluster with a new fence, reached at `address`. With
    /// `forget_authority` the state forgets the cluster's certificate authority.
    ///
    /// # Errors
    /// [`RecoveryError`] says why; the old contents are still in their place, or the recovery can
    /// be run again.
    pub fn recover(self, address: &str, forget_authority: bool) -> Result<Recovered, RecoveryError> {
        // TOML's integers have 63 bits.
        let fence = (u64::from_be_bytes(random_bytes()?) >> 1).max(1);
        let applied = self.build(address, fence, forget_authority)?;
        let kept = self.rebuild.exchange(&format!("recovery-{fence}"))?;
        Ok(Recovered { fence, applied, kept })
    }

    fn build(&self, address: &str, fence: u64, forget_authority: bool) -> Result<LogPosition, RecoveryError> {
        let (tables, log) = self.open()?;
        let mark = mark(&tables)?;
        let last = log.bounds().1;
        let voted = log.read_vote().map_or(0, |vote| vote.term);
        let foundation = Foundation {
            members: BTreeMap::from([(self.identity.node, address.to_owned())]),
            term: last.map_or(0, |at| at.term).max(voted),
            forget_authority,
            // A survivor lacks at most what was acknowledged last; the warning says so.
            suspend: None,
        };
        let directory = Directory::open(&self.rebuild.space(), &Identity { fence, ..self.identity.clone() })?;
        let copy = copy(&directory, &tables)?;
        Ok(rebuild::build(directory, &foundation, &copy, &mut tail(&log, mark.applied))?)
    }

    /// Releases the directory unchanged.
    ///
    /// # Errors
    /// When a file cannot be closed.
    pub fn abandon(self) -> Result<(), RecoveryError> {
        Ok(self.rebuild.abandon()?)
    }

    fn open(&self) -> Result<(Tables, Log), RecoveryError> {
        let tables = Tables::open(self.rebuild.root(), TABLE_NAMES, TablesOptions::default())?;
        let log = Log::open(&self.rebuild.log(), LogOptions::default())?;
        Ok((tables, log))
    }
}

/// The entries of the log after `applied`, in batches.
pub(crate) fn tail(
    log: &Log,
    applied: Option<LogPosition>,
) -> impl Iterator<Item = io::Result<Vec<(LogPosition, Bytes)>>> {
    let mut next = applied.map_or(0, |at| at.index.saturating_add(1));
    std::iter::from_fn(move || {
        let run = log.read(next..u64::MAX, Some(RUN_BYTES_MAX));
        match &run {
            Ok(entries) => next = entries.last()?.0.index.saturating_add(1),
            // After an error nothing more is read; the caller stops.
            Err(_) => next = u64::MAX,
        }
        Some(run)
    })
}

/// Copies the records into a temporary file, which is removed with its reader.
pub(crate) fn copy(directory: &Directory, tables: &Tables) -> Result<SnapshotReader, StoreError> {
    let mut file = directory.receive()?;
    for piece in SnapshotWriter::new(tables.view(), Vec::new()) {
        file.write(&piece?)?;
    }
    file.finish()
}

pub(crate) fn mark(tables: &Tables) -> Result<AppliedMark, RecoveryError> {
    match tables.get(state::Table::Meta as usize, META_MARK)? {
        Some(bytes) => mark_of(&bytes).map_err(RecoveryError::Log),
        None => Ok(AppliedMark::default()),
    }
}

/// The time of the last write to a file in `directory`, by the file system.
fn newest(directory: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(directory).ok()?;
    entries.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok()).max()
}
