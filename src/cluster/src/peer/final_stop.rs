//! Stops this node for good: its data are not those of the cluster.

use std::path::Path;
use std::sync::Arc;

use keymoot_model::NodeId;
use keymoot_store::{Directory, Divergence};
use keymoot_telemetry::Metrics;

use crate::peer::fatal_signal::FatalSignal;

/// Marks the data directory and stops the node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct FinalStop {
    node: NodeId,
    directory: Arc<Directory>,
    fatal: FatalSignal,
    metrics: Arc<Metrics>,
}

impl FinalStop {
    /// Stops `node`, whose data directory is `directory`, by `fatal`.
    pub(crate) const fn new(
        node: NodeId,
        directory: Arc<Directory>,
        fatal: FatalSignal,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { node, directory, fatal, metrics }
    }

    /// The node.
    pub(crate) const fn node(&self) -> NodeId {
        self.node
    }

    /// Marks the data directory with `divergence`, whose reason becomes `what` with the way out. Returns
    /// the reason.
    pub(crate) fn mark(&self, what: &str, divergence: Divergence) -> String {
        let reason = format!("{what}; {}", way_out(self.node, Some(self.directory.root())));
        tracing::error!(reason, "the node stops for good");
        let mark = Divergence { reason: reason.clone(), ..divergence };
        if let Err(error) = self.directory.mark_diverged(&mark) {
            // It is found again after the next start.
            tracing::error!(%error, "the data directory could not be marked");
        }
        self.metrics.state_diverged.set(1);
        reason
    }

    /// Stops the node, whose directory is marked.
    pub(crate) fn end(&self, reason: String) {
        self.fatal.replace(reason);
    }
}

/// What to do about a node whose data are not those of the cluster; `data` is its data directory
/// where that is known.
pub(crate) fn way_out(node: NodeId, data: Option<&Path>) -> String {
    let data = data.map_or_else(|| "DATA_DIR".to_owned(), |path| path.display().to_string());
    format!(
        "list and seal what only it has with `keymoot cluster salvage {data} --output FILE` on its machine; then \
         run `keymoot cluster replace-disk` there, which takes node {node} out and lets the machine join under a new \
         id (by hand: `keymoot cluster remove {node}` at another node, then join with an empty directory): docs/disks.md"
    )
}
