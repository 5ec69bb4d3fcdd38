//! A client's counters since it was made, for the monitoring of the program that uses it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of a client's counters; each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientMetrics {
    /// Requests of the caller, whatever their outcome.
    pub requests: u64,
    /// Of those, requests that a service point answered with the requested data.
    pub answered: u64,
    /// Of those, refused by a service point (4xx).
    pub refused: u64,
    /// Of those, requests that no service point answered within the caller's patience.
    pub unanswered: u64,
    /// Keys returned from the cache because no service point answered.
    pub remembered: u64,
    /// Attempts at a service point; more than `requests` means retries.
    pub attempts: u64,
    /// Attempts that failed.
    pub setbacks: u64,
    /// Of those, attempts whose answer was not proved or asked for too weak a proof.
    pub untrusted: u64,
    /// Times another service point became the first choice, because the current one failed.
    pub fail_overs: u64,
    /// Times the client went back to a preferred service point that had recovered.
    pub recoveries: u64,
}

/// The events that are counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Request,
    Answered,
    Refused,
    Unanswered,
    Remembered,
    Attempt,
    Setback,
    Untrusted,
    FailOver,
    Recovery,
}

/// The counters, shared by all threads.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; 10]);

impl Counters {
    /// Adds one.
    pub(super) fn count(&self, what: Count) {
        if let Some(counter) = self.0.get(what as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The current values.
    pub(super) fn snapshot(&self) -> ClientMetrics {
        let read = |what: Count| self.0.get(what as usize).map_or(0, |count| count.load(Ordering::Relaxed));
        ClientMetrics {
            requests: read(Count::Request),
            answered: read(Count::Answered),
            refused: read(Count::Refused),
            unanswered: read(Count::Unanswered),
            remembered: read(Count::Remembered),
            attempts: read(Count::Attempt),
            setbacks: read(Count::Setback),
            untrusted: read(Count::Untrusted),
            fail_overs: read(Count::FailOver),
            recoveries: read(Count::Recovery),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_its_own() {
        let counters = Counters::default();
        counters.count(Count::Request);
        counters.count(Count::Recovery);
        counters.count(Count::Recovery);
        let expected = ClientMetrics { requests: 1, recoveries: 2, ..ClientMetrics::default() };
        assert_eq!(counters.snapshot(), expected);
    }
}
