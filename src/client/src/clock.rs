//! Time, waiting and chance, as the client's policy sees them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clock and the dice of a client. Tests bring their own.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment. It never goes back.
    fn now(&self) -> Duration;

    /// The time since 1970 UTC, as the machine's calendar has it. It may be set and go back.
    fn calendar(&self) -> Duration;

    /// Waits.
    fn sleep(&self, length: Duration);

    /// A number of at least 0 and below 1, another one each time.
    fn chance(&self) -> f64;
}

/// The machine's monotonic clock and real chance.
#[derive(Debug)]
pub struct SystemClock {
    began: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn calendar(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn sleep(&self, length: Duration) {
        std::thread::sleep(length);
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}
