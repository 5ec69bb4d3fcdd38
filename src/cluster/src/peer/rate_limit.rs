//! A limit on how often something happens in a period of time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Allows a number of events in any window of a given length.
#[derive(Debug)]
pub(crate) struct RateLimit {
    most: usize,
    window: Duration,
    recent: Mutex<VecDeque<Instant>>,
}

impl RateLimit {
    pub(crate) const fn new(most: usize, window: Duration) -> Self {
        Self { most, window, recent: Mutex::new(VecDeque::new()) }
    }

    /// Counts one more event, if the window allows it; returns whether it does.
    pub(crate) fn try_acquire(&self, now: Instant) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|at| now.duration_since(*at) >= self.window) {
            recent.pop_front();
        }
        let open = recent.len() < self.most;
        if open {
            recent.push_back(now);
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_stopped_and_later_there_is_room_again() {
        let window = Duration::from_secs(10);
        let limit = RateLimit::new(20, window);
        let allowed = |now| (0..100).filter(|_| limit.try_acquire(now)).count();
        let now = Instant::now();
        assert_eq!((allowed(now), allowed(now)), (20, 0));
        assert_eq!(allowed(now + window), 20);
    }
}
