//! The peers that this node refuses, or that refuse it, and why.
//!
//! A refusal is noted at the greeting, on whichever side finds the reason, and forgotten when a
//! greeting succeeds. The log names a peer once in [`LOG_PAUSE`], not at each of its attempts;
//! `cluster status` names all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keymoot_model::NodeId;

/// The pause between two log lines about the same peer.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// Shared by the listening side and the links. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Refusals {
    known: Arc<Mutex<BTreeMap<NodeId, Refusal>>>,
}

struct Refusal {
    reason: String,
    logged_at: Instant,
}

impl Refusals {
    /// Notes that this node and `peer` refuse each other.
    pub(crate) fn note(&self, peer: NodeId, reason: String) {
        let mut known = self.lock();
        let recent = known.get(&peer).filter(|last| last.reason == reason);
        let logged_at = match recent.map(|last| last.logged_at) {
            Some(logged_at) if logged_at.elapsed() < LOG_PAUSE => logged_at,
            _ => {
                tracing::warn!(peer, %reason, "a peer was refused");
                Instant::now()
            }
        };
        known.insert(peer, Refusal { reason, logged_at });
    }

    /// Forgets a peer: a greeting succeeded.
    pub(crate) fn forget(&self, peer: NodeId) {
        self.lock().remove(&peer);
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
}
