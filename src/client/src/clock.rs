//! The client's source of time, waiting and randomness.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clock and the randomness of a client. Tests use their own.
pub trait Clock: Send + Sync {
    /// The time since some fixed moment. It never goes back.
    fn now(&self) -> Duration;

    /// The time since 1970 UTC by the system clock, which may be set back.
    fn calendar(&self) -> Duration;

    /// Blocks the thread for this long.
    fn sleep(&self, length: Duration);

    /// A random number in `0.0..1.0`.
    fn chance(&self) -> f64;
}

/// The system's monotonic clock and randomness.
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
