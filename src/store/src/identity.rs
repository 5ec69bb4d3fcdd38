//! The owner of a data directory, written once and checked at every start.
//!
//! A directory moved to another machine, or a configuration copied from another node, would let two nodes run
//! under one id, which breaks elections. Because of the file the second one refuses to start.
//!
//! The fence distinguishes a recovered or restored cluster from the same cluster before. This file is the
//! only source for it: the fence in greetings and backups is read here.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{StoreError, durable};

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

impl Identity {
    /// The identity in the data directory `root`; `None` when there is no identity file.
    ///
    /// # Errors
    /// [`StoreError::IdentityUnreadable`] when the file does not parse, [`StoreError::NewerFormat`] when a
    /// newer version wrote it, or an I/O error.
    pub fn read(root: &Path) -> Result<Option<Self>, StoreError> {
        let path = root.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let contents: IdentityFile = toml::from_str(&text).map_err(|error| {
            StoreError::IdentityUnreadable { path: path.clone(), why: error.message().to_owned() }
        })?;
        if contents.format > FORMAT {
            return Err(StoreError::NewerFormat { path, found: contents.format, known: FORMAT });
        }
        Ok(Some(Self { cluster: contents.cluster, node: contents.node, fence: contents.fence }))
    }

    /// Writes the identity file of a new data directory.
    pub(super) fn write(&self, root: &Path) -> Result<(), StoreError> {
        let path = root.join(FILE);
        let Self { cluster, node, fence } = self.clone();
        let contents = IdentityFile { format: FORMAT, cluster, node, fence };
        let text = toml::to_string(&contents)
            .map_err(|error| StoreError::IdentityUnreadable { path: path.clone(), why: error.to_string() })?;
        durable::write_file(&path, text.as_bytes())
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
