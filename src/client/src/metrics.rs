//! What a client counted since it was made, for the monitoring of the program it is part of.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of a client's counters; each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientMetrics {
    /// Requests that the caller made, whatever became of them.
    pub requests: u64,
    /// Of those, answered by a service point with what was asked for.
    pub answered: u64,
    /// Of those, refused by a service point (4xx).
    pub refused: u64,
    /// Of those, answered by nobody within the caller's patience.
    pub unanswered: u64,
    /// Keys handed out from memory because nobody answered.
    pub remembered: u64,
    /// Times a service point was asked; more than `requests` means retries.
    pub attempts: u64,
    /// Times a service point failed a request.
    pub setbacks: u64,
    /// Of those, because its answer was not proved or it asked for too weak a proof.
    pub untrusted: u64,
    /// Times another service point became the one that is asked first, because that one failed.
    pub fail_overs: u64,
    /// Times the client went back to a preferred service point that had recovered.
    pub recoveries: u64,
}

/// What is counted.
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
    /// One more.
    pub(super) fn count(&self, what: Count) {
        if let Some(counter) = self.0.get(what as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were until now.
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
