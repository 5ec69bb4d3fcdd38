//! Time, waiting and chance, as the client's policy sees them.

use std::time::{Duration, Instant};

/// The clock and the dice of a client. Tests bring their own.
pub trait Pace: Send + Sync {
    /// Time since some fixed moment. It never goes back.
    fn now(&self) -> Duration;

    /// Waits.
    fn sleep(&self, length: Duration);

    /// A number of at least 0 and below 1, another one each time.
    fn chance(&self) -> f64;
}

/// The machine's monotonic clock and real chance.
#[derive(Debug)]
pub struct SystemPace {
    began: Instant,
}

impl Default for SystemPace {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Pace for SystemPace {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn sleep(&self, length: Duration) {
        std::thread::sleep(length);
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}
