//! Salvage of a data directory that is to be given up: all that it holds in one file, and what of it
//! the cluster lacks.
//!
//! The file is a backup ([`crate::backup`]), with every key still wrapped. It holds the applied state
//! and the entries of the log behind it, whether or not the node knew them to be committed. Nothing in
//! the directory is changed or deleted; the copy is built beside the file. It is not signed: a directory can
//! be salvaged where there is no keyring.

mod differences;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{Survey, TABLE_NAMES, Table};
use keymoot_store::{Directory, Divergence, Identity, Log, LogOptions, Rebuild, Tables, TablesOptions};

use crate::backup::BackupHeader;
use crate::backup::source::backup_of;
use crate::error::ClusterError;
use crate::raft::rebuild;
use crate::raft::state_machine::META_MARK;
use crate::recovery::{RecoveryError, copy, mark, tail};

pub use differences::{Comparison, Difference, How, compare};

/// Why a directory cannot be salvaged. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// There is no node's data.
    #[error("{} holds no node's data", path.display())]
    Empty { path: PathBuf },
    /// The directory is in use, or cannot be read.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The state cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The copy or the file cannot be written.
    #[error("cannot write the salvaged state")]
    Write(#[source] io::Error),
}

impl From<keymoot_store::StoreError> for SalvageError {
    fn from(error: keymoot_store::StoreError) -> Self {
        Self::Recovery(error.into())
    }
}

impl From<state::StateError> for SalvageError {
    fn from(error: state::StateError) -> Self {
        Self::Recovery(error.into())
    }
}

/// A data directory, locked so that no other process can use it.
#[derive(Debug)]
pub struct Salvage {
    rebuild: Rebuild,
    identity: Identity,
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The header of the backup.
    pub header: BackupHeader,
    /// The index up to which entries were applied in the directory; the file goes on from there with the log.
    pub applied_index: u64,
    /// The digest that the directory kept, if it is not that of its records.
    pub wrong_digest: Option<String>,
    /// Why entries of the log are missing in the file, if any are.
    pub log_unread: Option<String>,
}

impl Salvage {
    /// Locks the data directory of a stopped node.
    ///
    /// # Errors
    /// [`SalvageError`], also when a node runs in it.
    pub fn take(root: &Path) -> Result<Self, SalvageError> {
        let empty = || SalvageError::Empty { path: root.to_owned() };
        if Identity::read(root)?.is_none() {
            return Err(empty());
        }
        let rebuild = Rebuild::take(root)?;
        let identity = rebuild.identity()?.ok_or_else(empty)?;
        Ok(Self { rebuild, identity })
    }

    /// The cluster and the node that the directory belongs to.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Why no node starts from the directory, if it is marked so.
    ///
    /// # Errors
    /// When the mark cannot be read.
    pub fn divergence(&self) -> Result<Option<Divergence>, SalvageError> {
        Ok(Divergence::read(self.rebuild.root())?)
    }

    /// The members with their addresses, as this directory knows them.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub fn members(&self) -> Result<BTreeMap<NodeId, String>, SalvageError> {
        let membership = mark(&self.tables()?)?.membership;
        let nodes = membership.map(|members| members.nodes).unwrap_or_default();
        Ok(nodes.into_iter().map(|(id, member)| (id, member.peer_address)).collect())
    }

    /// Seals all that the directory holds: passes the bytes of a backup to `write`. `space`, which must
    /// not exist, is used for a copy and removed.
    ///
    /// # Errors
    /// [`SalvageError`]; what was written is then no backup.
    pub fn seal(
        &self,
        space: &Path,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Sealed, SalvageError> {
        if space.exists() {
            return Err(SalvageError::Write(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} exists; remove it", space.display()),
            )));
        }
        let sealed = self.copy_and_write(space, write);
        match std::fs::remove_dir_all(space) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                sealed.and(Err(SalvageError::Write(error)))
            }
            _ => sealed,
        }
    }

    fn copy_and_write(
        &self,
        space: &Path,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Sealed, SalvageError> {
        let tables = self.tables()?;
        let applied = mark(&tables)?.applied;
        let directory = Arc::new(Directory::open(space, &self.identity)?);
        let copy = copy(&directory, &tables)?;
        let options = TablesOptions::default();
        let copied = Tables::create_from(directory.root(), TABLE_NAMES, options, &copy)?;
        let wrong_digest = correct_digest(&copied)?;
        let log_unread = match Log::open(&self.rebuild.log(), LogOptions::default()) {
            Ok(log) => rebuild::replay(&directory, &copied, &mut tail(&log, applied)).err().map(|error| {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                format!("{error}: {}", source.unwrap_or_default())
            }),
            Err(error) => Some(error.to_string()),
        };
        let (header, first, pieces) = backup_of(&self.identity, copied.view(), None)?;
        write(&first).map_err(SalvageError::Write)?;
        for piece in pieces {
            write(&piece?).map_err(SalvageError::Write)?;
        }
        let applied_index = applied.map_or(0, |at| at.index);
        Ok(Sealed { header, applied_index, wrong_digest, log_unread })
    }

    fn tables(&self) -> Result<Tables, SalvageError> {
        Ok(Tables::open(self.rebuild.root(), TABLE_NAMES, TablesOptions::default())?)
    }
}

/// Stores the digest of the records, which a backup must have. Returns the one that was there, if it was
/// another.
fn correct_digest(tables: &Tables) -> Result<Option<String>, SalvageError> {
    let view = tables.view();
    let mut survey = Survey::default();
    for table in Table::ALL {
        for record in view.iter(table as usize)? {
            let (key, value) = record?;
            if table != Table::Meta || *key != *META_MARK {
                survey.add(table, &key, &value)?;
            }
        }
    }
    if survey.is_sound() {
        return Ok(None);
    }
    let change = state::stored_digest(survey.digest())?;
    let mut batch = tables.begin();
    if let Some(value) = change.value {
        batch.put(change.table as usize, change.key, value)?;
    }
    tables.commit(batch)?;
    Ok(Some(survey.kept().to_string()))
}

#[cfg(test)]
mod tests;
