//! What this node last heard of its leader: when, and how far entries are committed there. So it can tell whether it is
//! behind, or cut off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What was last heard of a leader. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LeaderContact {
    /// For how long a leader counts as heard.
    silence: Duration,
    heard: Arc<Mutex<Option<Heard>>>,
}

#[derive(Clone, Copy)]
struct Heard {
    at: Instant,
    /// The last entry that is known to be committed.
    committed: u64,
}

impl LeaderContact {
    /// Nothing was heard yet. A leader that was silent for `silence` is heard no more.
    pub(crate) fn new(silence: Duration) -> Self {
        Self { silence, heard: Arc::default() }
    }

    /// Notes that a leader was heard, and up to where entries are committed, if it said so.
    pub(crate) fn hear(&self, committed: Option<u64>) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = heard.map_or(0, |heard| heard.committed);
        *heard = Some(Heard { at: Instant::now(), committed: before.max(committed.unwrap_or(0)) });
    }

    /// Whether a leader was heard lately.
    pub(crate) fn is_heard(&self) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|heard| heard.at.elapsed() < self.silence)
    }

    /// The committed entry that a node lacks which has applied this one, and hears its leader.
    pub(crate) fn lacks(&self, applied: u64) -> Option<u64> {
        let heard = (*self.heard.lock().unwrap_or_else(PoisonError::into_inner))?;
        (heard.at.elapsed() < self.silence && heard.committed > applied).then_some(heard.committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_is_behind_for_as_long_as_it_hears_a_leader_that_is_further() {
        let contact = LeaderContact::new(Duration::from_secs(2));
        assert_eq!(contact.lacks(0), None, "it has heard of no leader");
        contact.hear(Some(9));
        assert_eq!((contact.lacks(8), contact.lacks(9)), (Some(9), None));
        tokio::time::advance(Duration::from_secs(1)).await;
        // A leader that says no index has not forgotten the earlier one.
        contact.hear(None);
        tokio::time::advance(Duration::from_millis(1999)).await;
        assert_eq!(contact.lacks(8), Some(9));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(contact.lacks(8), None, "it is cut off by now");
    }
}
