//! The reports of the peers, as last heard, and this node's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keymoot_model::NodeId;

use crate::vote_ledger::VoteLedger;
use crate::wire::report::NodeReport;

/// The reports of the peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reports {
    ledger: VoteLedger,
    heard: Arc<Mutex<BTreeMap<NodeId, NodeReport>>>,
}

impl Reports {
    /// No reports yet; this node's own is made of `ledger`.
    pub(crate) fn new(ledger: VoteLedger) -> Self {
        Self { ledger, heard: Arc::default() }
    }

    /// This node's report.
    pub(crate) fn own(&self) -> NodeReport {
        let (vote, held) = self.ledger.on_disk();
        NodeReport { vote, held, digests: Vec::new() }
    }

    /// Keeps the report of a peer.
    pub(crate) fn hear(&self, peer: NodeId, report: NodeReport) {
        self.lock().insert(peer, report);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, NodeReport>> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
