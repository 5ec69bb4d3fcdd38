//! The owner of a data directory, written once and checked at every start.
//!
//! A directory moved to another machine, or a configuration copied from another node, would let two nodes run
//! under one id, which breaks elections. Because of the file the second one refuses to start.
//!
//! The fence distinguishes a recovered or restored cluster from the same cluster before. This file is the
//! only source for it: the fence in greetings and backups is read here.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::toml_file::TomlFile;

/// The name of the identity file.
pub(super) const FILE: &str = "identity.toml";

/// The layout of a data directory that this build reads and writes.
const FORMAT: u32 = 1;

/// The node and the cluster that a data directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The name of the cluster.
    pub cluster: String,
    /// The id of the node.
    pub node: u64,
    /// 0 in a newly founded cluster; another number after a recovery or restore. Nodes of different fences do
    /// not communicate.
    pub fence: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityFile {
    format: u32,
    cluster: String,
    node: u64,
    #[serde(default)]
    fence: u64,
}

impl TomlFile for IdentityFile {
    const NAME: &'static str = FILE;
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }

    fn unreadable(path: PathBuf, why: String) -> StoreError {
        StoreError::IdentityUnreadable { path, why }
    }
}

impl Identity {
    /// The identity in the data directory `root`; `None` when there is no identity file.
    ///
    /// # Errors
    /// [`StoreError::IdentityUnreadable`] when the file does not parse, [`StoreError::NewerFormat`] when a
    /// newer version wrote it, or an I/O error.
    pub fn read(root: &Path) -> Result<Option<Self>, StoreError> {
        let file = IdentityFile::read(root)?;
        Ok(file.map(|IdentityFile { cluster, node, fence, .. }| Self { cluster, node, fence }))
    }

    /// Writes the identity file of a new data directory.
    pub(super) fn write(&self, root: &Path) -> Result<(), StoreError> {
        let Self { cluster, node, fence } = self.clone();
        IdentityFile { format: FORMAT, cluster, node, fence }.write(root)
    }

    /// Refuses when `found` in `root` is another node or cluster. The fence is not compared: the file decides
    /// it.
    pub(super) fn expect(&self, found: &Self, root: &Path) -> Result<(), StoreError> {
        if (&self.cluster, self.node) == (&found.cluster, found.node) {
            return Ok(());
        }
        Err(StoreError::OtherIdentity {
            path: root.join(FILE),
            found_node: found.node,
            found_cluster: found.cluster.clone(),
            node: self.node,
            cluster: self.cluster.clone(),
        })
    }
}
