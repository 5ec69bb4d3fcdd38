//! Who has read the audit lately: each read is an event itself, and its next pages are none of their own. Whoever
//! follows the audit would otherwise read of nothing but the own reading.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So long a read goes on under one event.
const LASTS: Duration = Duration::from_secs(600);
/// So many are remembered. What does not fit any more is told again.
const KNOWN_MAX: usize = 1024;

/// What was read lately.
#[derive(Default)]
pub(crate) struct RecentReads(Mutex<BTreeMap<(String, String), Instant>>);

impl RecentReads {
    /// Whether it was told within the last minutes that somebody of this name asked for the same.
    pub(crate) fn is_told(&self, who: &str, what: &str) -> bool {
        let known = self.lock();
        known.get(&(who.to_owned(), what.to_owned())).is_some_and(|at| at.elapsed() < LASTS)
    }

    /// It is told now: an event of it is written.
    pub(crate) fn tell(&self, who: &str, what: &str) {
        let mut known = self.lock();
        known.retain(|_, at| at.elapsed() < LASTS);
        if known.len() < KNOWN_MAX {
            known.insert((who.to_owned(), what.to_owned()), Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Instant>> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_next_page_of_a_read_is_no_read_of_its_own_and_another_one_is() {
        let reads = RecentReads::default();
        assert!(!reads.is_told("alice", "account=demo"));
        reads.tell("alice", "account=demo");
        assert!(reads.is_told("alice", "account=demo"));
        assert!(!reads.is_told("alice", "everything") && !reads.is_told("bob", "account=demo"));
        tokio::time::advance(LASTS).await;
        assert!(!reads.is_told("alice", "account=demo"));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_has_no_room_is_told_each_time() {
        let reads = RecentReads::default();
        (0..2 * KNOWN_MAX).for_each(|number| reads.tell("alice", &number.to_string()));
        assert!(reads.is_told("alice", "0") && !reads.is_told("alice", &KNOWN_MAX.to_string()));
        assert_eq!(reads.lock().len(), KNOWN_MAX);
    }
}
