//! The circuit breaker of one server: one that fails again and again is left alone for a while.
//!
//! While it rests nobody waits for it. After the rest one request tries it; the others go on to
//! leave it alone until that one has an answer, or the same time has passed once more.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When a server is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it, at least 1.
    pub failures_max: u32,
    /// How long it stays open.
    pub rest: Duration,
}

/// The breaker. Times are the caller's, so that they can be any.
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
}

impl Breaker {
    /// A closed breaker.
    pub const fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether the server may be asked. A yes after the rest is the one try.
    pub fn admits(&self, now: Instant) -> bool {
        self.with(|state| match *state {
            State::Closed { .. } => true,
            State::Open { until } if now < until => false,
            State::Open { .. } => {
                *state = State::Open { until: now + self.settings.rest };
                true
            }
        })
    }

    /// The server answered as it should.
    pub fn succeeded(&self) {
        self.with(|state| *state = State::Closed { failures: 0 });
    }

    /// The server did not answer as it should.
    pub fn failed(&self, now: Instant) {
        let BreakerSettings { failures_max, rest } = self.settings;
        self.with(|state| {
            *state = match *state {
                State::Closed { failures } if failures + 1 < failures_max => {
                    State::Closed { failures: failures + 1 }
                }
                _ => State::Open { until: now + rest },
            }
        });
    }

    /// Whether it is open, a try under way or not.
    pub fn is_open(&self) -> bool {
        self.with(|state| matches!(state, State::Open { .. }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Every change is whole, so a panic elsewhere leaves nothing half done.
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(5);

    fn breaker() -> (Breaker, Instant) {
        (Breaker::new(BreakerSettings { failures_max: 3, rest: REST }), Instant::now())
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_begins_the_count_anew() {
        let (breaker, now) = breaker();
        for _ in 0..2 {
            breaker.failed(now);
            breaker.failed(now);
            assert!(breaker.admits(now) && !breaker.is_open());
            breaker.succeeded();
        }
        (0..3).for_each(|_| breaker.failed(now));
        assert!(breaker.is_open() && !breaker.admits(now + REST / 2));
    }

    #[test]
    fn after_the_rest_one_request_tries_and_decides() {
        let (breaker, now) = breaker();
        (0..3).for_each(|_| breaker.failed(now));
        let later = now + REST;
        assert!(breaker.admits(later), "one tries");
        assert!(!breaker.admits(later), "the others wait for it");
        breaker.failed(later);
        assert!(!breaker.admits(later + REST / 2), "it rests again");
        assert!(breaker.admits(later + REST));
        breaker.succeeded();
        assert!(breaker.admits(later + REST) && !breaker.is_open());
    }

    #[test]
    fn a_try_that_nobody_hears_of_again_does_not_keep_it_open_for_ever() {
        let (breaker, now) = breaker();
        (0..3).for_each(|_| breaker.failed(now));
        assert!(breaker.admits(now + REST));
        assert!(breaker.admits(now + REST * 2));
    }
}
