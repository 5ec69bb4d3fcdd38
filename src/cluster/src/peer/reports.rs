//! The reports of the peers, as last heard, and this node's own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use keymoot_model::NodeId;

use crate::checkpoints::Checkpoints;
use crate::vote_ledger::VoteLedger;
use crate::wire::report::{NodeReport, StateDigest};

/// A peer that has not reported for so long is away: some reports are missing.
const AWAY_AFTER: Duration = Duration::from_secs(10);

/// The reports of the peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reports {
    ledger: VoteLedger,
    checkpoints: Checkpoints,
    heard: Arc<Mutex<BTreeMap<NodeId, Heard>>>,
}

struct Heard {
    at: Instant,
    report: NodeReport,
}

impl Reports {
    /// No reports yet; this node's own is made of `ledger` and `checkpoints`.
    pub(crate) fn new(ledger: VoteLedger, checkpoints: Checkpoints) -> Self {
        Self { ledger, checkpoints, heard: Arc::default() }
    }

    /// This node's report.
    pub(crate) fn own(&self) -> NodeReport {
        let (vote, held) = self.ledger.on_disk();
        NodeReport { vote, held, digests: self.checkpoints.list() }
    }

    /// Keeps the report of a peer.
    pub(crate) fn hear(&self, peer: NodeId, report: NodeReport) {
        self.lock().insert(peer, Heard { at: Instant::now(), report });
    }

    /// The digests that peers reported within the last seconds.
    pub(crate) fn digests(&self) -> BTreeMap<NodeId, Vec<StateDigest>> {
        let heard = self.lock();
        let present = heard.iter().filter(|(_, heard)| heard.at.elapsed() < AWAY_AFTER);
        present.map(|(id, heard)| (*id, heard.report.digests.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Heard>> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
