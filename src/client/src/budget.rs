//! The retry budget: a bucket of tokens that fills slowly, and faster while requests succeed.
//!
//! Trying the next service point is free: it happens at most once per point and request. Trying all
//! of them again costs a token. So many threads that wait for a key server that is down retry
//! together at the bucket's rate. When the key server is back, each success earns two tokens, so
//! that waiting requests are served in waves that double.

use std::time::Duration;

/// Tokens earned by a success.
const EARNED: f64 = 2.0;

/// A token bucket that pays for retries.
#[derive(Debug)]
pub(super) struct RetryBudget {
    tokens: f64,
    capacity: f64,
    per_second: f64,
    filled_at: Duration,
}

impl RetryBudget {
    /// A full bucket.
    pub(super) fn new(capacity: u32, per_second: f64, now: Duration) -> Self {
        let capacity = f64::from(capacity);
        Self { tokens: capacity, capacity, per_second: per_second.max(0.0), filled_at: now }
    }

    /// Takes a token; the error is the time until there is one.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let gained = now.saturating_sub(self.filled_at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.capacity);
        self.filled_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // A bucket that does not fill with time can still be filled by a success.
        let missing = (1.0 - self.tokens) / self.per_second;
        Err(Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX).max(Duration::from_millis(1)))
    }

    /// Adds the tokens that a success earns.
    pub(super) fn earn(&mut self) {
        self.tokens = (self.tokens + EARNED).min(self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_empties_the_bucket_and_time_fills_it() {
        let mut budget = RetryBudget::new(2, 0.5, secs(0));
        assert_eq!((budget.take(secs(0)), budget.take(secs(0))), (Ok(()), Ok(())));
        assert_eq!(budget.take(secs(0)), Err(secs(2)));
        assert_eq!(budget.take(secs(1)), Err(secs(1)));
        assert_eq!(budget.take(secs(2)), Ok(()));
    }

    #[test]
    fn a_success_frees_two_who_wait() {
        let mut budget = RetryBudget::new(5, 0.0, secs(0));
        while budget.take(secs(0)).is_ok() {}
        assert_eq!(budget.take(secs(999)), Err(Duration::MAX));
        budget.earn();
        assert_eq!((budget.take(secs(0)), budget.take(secs(0))), (Ok(()), Ok(())));
        assert!(budget.take(secs(0)).is_err());
    }

    proptest! {
        #[test]
        fn no_second_sees_more_retries_than_burst_and_rate_allow(
            capacity in 0_u32..8, rate in 0.0_f64..4.0, steps in prop::collection::vec(0_u64..400, 1..200),
        ) {
            let mut budget = RetryBudget::new(capacity, rate, Duration::ZERO);
            let (mut now, mut taken) = (Duration::ZERO, 0_u32);
            for step in steps {
                now += Duration::from_millis(step);
                taken += u32::from(budget.take(now).is_ok());
            }
            prop_assert!(f64::from(taken) <= f64::from(capacity) + rate * now.as_secs_f64() + 1e-6);
        }
    }
}
