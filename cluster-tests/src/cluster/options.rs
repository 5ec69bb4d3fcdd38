//! The options with which a cluster is started.

use std::path::PathBuf;

use super::Cluster;
use crate::RigError;

/// How to start a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) env: Vec<(String, String)>,
    pub(super) dir: Option<PathBuf>,
    pub(super) nodes: Option<usize>,
    pub(super) open_files: Option<u64>,
}

impl Default for Options {
    /// The names are those by which the rig's requests call the nodes.
    fn default() -> Self {
        let names = ("KEYMOOT__AUTH__AUTHORITIES".to_owned(), "localhost, keymoot".to_owned());
        Self { env: vec![names], dir: None, nodes: None, open_files: None }
    }
}

impl Options {
    /// Sets an environment variable of all nodes, as `KEYMOOT__SECTION__KEY` overrides a setting.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same for several variables.
    #[must_use]
    pub fn envs(self, all: &[(&str, &str)]) -> Self {
        all.iter().fold(self, |options, (name, value)| options.env(name, value))
    }

    /// Keeps the cluster in this directory, which is made when it does not exist; its logs are
    /// elsewhere.
    #[must_use]
    pub fn dir(mut self, dir: PathBuf) -> Self {
        self.dir = Some(dir);
        self
    }

    /// Starts this many nodes instead of three.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// Limits each node's open files to this number, as the soft and the hard limit.
    #[must_use]
    pub fn open_files(mut self, most: u64) -> Self {
        self.open_files = Some(most);
        self
    }

    /// Starts the cluster and waits until every node is healthy and one leads.
    ///
    /// # Errors
    /// When the program is missing, ends early or is not ready in time; with the log's tail.
    pub fn start(self) -> Result<Cluster, RigError> {
        Cluster::start_with(self)
    }
}
