//! The peers that this node refuses, or that refuse it, and why.
//!
//! A refusal is noted at the greeting, on whichever side finds the reason, and forgotten when a
//! greeting succeeds, when the peer is no member any more, or when it has not tried for long. The
//! log names it once a minute, not at each of its attempts; `cluster status` names all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keymoot_model::NodeId;
use keymoot_telemetry::LastingConditions;

/// A peer that is no member and has not tried for so long is forgotten: a node from before a recovery
/// that was stopped for good. It would try several times a second.
const STRANGER_KEPT: Duration = Duration::from_secs(15);

/// Shared by the listening side and the links. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Refusals {
    known: Arc<Mutex<BTreeMap<NodeId, Refusal>>>,
    lines: Arc<LastingConditions<(NodeId, String)>>,
}

struct Refusal {
    reason: String,
    noted_at: Instant,
}

impl Refusals {
    /// Notes that this node and `peer` refuse each other.
    pub(crate) fn note(&self, peer: NodeId, reason: String) {
        if let Some(unlogged) = self.lines.note((peer, reason.clone())) {
            tracing::warn!(peer, %reason, unlogged, "a peer was refused");
        }
        self.lock().insert(peer, Refusal { reason, noted_at: Instant::now() });
    }

    /// Forgets a peer: a greeting succeeded.
    pub(crate) fn forget(&self, peer: NodeId) {
        if self.lock().remove(&peer).is_some() {
            self.lines.end_all(|(refused, _)| *refused == peer);
        }
    }

    /// Forgets those that are not among the members and have stopped trying.
    pub(crate) fn forget_strangers(&self, members: &BTreeSet<NodeId>) {
        self.forget_strangers_after(members, STRANGER_KEPT);
    }

    fn forget_strangers_after(&self, members: &BTreeSet<NodeId>, kept: Duration) {
        self.lock().retain(|peer, refusal| members.contains(peer) || refusal.noted_at.elapsed() < kept);
    }

    /// The refused peers, and why.
    pub(crate) fn list(&self) -> BTreeMap<NodeId, String> {
        self.lock().iter().map(|(peer, refusal)| (*peer, refusal.reason.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Refusal>> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_is_listed_until_a_greeting_succeeds() {
        let refusals = Refusals::default();
        refusals.note(2, "one".to_owned());
        refusals.note(2, "two".to_owned());
        refusals.note(3, "three".to_owned());
        refusals.forget(3);
        assert_eq!(refusals.list(), BTreeMap::from([(2, "two".to_owned())]));
    }

    #[test]
    fn a_member_stays_listed_and_who_is_none_is_forgotten_once_it_stops_trying() {
        let refusals = Refusals::default();
        refusals.note(2, "its data directory is another".to_owned());
        refusals.note(9, "it is from before the recovery".to_owned());
        refusals.forget_strangers(&BTreeSet::from([1, 2]));
        assert_eq!(refusals.list().len(), 2, "it has just tried");
        refusals.forget_strangers_after(&BTreeSet::from([1, 2]), Duration::ZERO);
        assert_eq!(refusals.list().into_keys().collect::<Vec<_>>(), [2]);
    }
}
