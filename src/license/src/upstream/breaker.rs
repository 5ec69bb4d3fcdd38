//! The circuit breaker of one server: after repeated failures it gets no requests for a while.
//!
//! While the circuit is open, no request waits for the server. After that time one request probes
//! it; the others skip it until the probe has a result, or the same time has passed once more.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When a circuit opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open the circuit, at least 1.
    pub failures_max: u32,
    /// How long the circuit stays open.
    pub rest: Duration,
}

/// The breaker. Callers pass the time, so that tests can choose it.
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
    pub const fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether the server may get a request. After the open time, `true` is for the one probe.
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

    /// The server responded as expected.
    pub fn succeeded(&self) {
        self.with(|state| *state = State::Closed { failures: 0 });
    }

    /// The server failed or responded otherwise than expected.
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

    /// Whether the circuit is open, during a probe too.
    pub fn is_open(&self) -> bool {
        self.with(|state| matches!(state, State::Open { .. }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half done.
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
