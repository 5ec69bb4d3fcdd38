//! Waiting for an instant to the microsecond. The event loop's own timers tick in milliseconds,
//! which is longer than the latencies in an open loop.

use std::time::Instant;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::RigError;

/// A timer of one client.
pub struct Pacer {
    /// The event loop has no support for timers of the kernel, but reads this one like a pipe:
    /// eight bytes each time it fires.
    timer: Receiver,
}

impl Pacer {
    /// A timer in the running event loop.
    ///
    /// # Errors
    /// When the operating system cannot make one.
    pub fn new() -> Result<Self, RigError> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(std::io::Error::from);
        let timer = timer.and_then(Receiver::from_owned_fd_unchecked);
        Ok(Self { timer: timer.map_err(RigError::io("cannot make a timer"))? })
    }

    /// Waits until `at`; returns at once when that has passed.
    ///
    /// # Errors
    /// When the timer fails.
    pub async fn sleep_until(&mut self, at: Instant) -> Result<(), RigError> {
        let left = at.saturating_duration_since(Instant::now());
        let Ok(seconds) = i64::try_from(left.as_secs()) else { return Ok(()) };
        if left.is_zero() {
            return Ok(());
        }
        let value = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)
            .map_err(|error| RigError::io("cannot set a timer")(error.into()))?;
        // The buffer is larger than the timer's answer, so that the event loop knows that nothing
        // is left.
        let rang = self.timer.read(&mut [0_u8; 16]).await;
        rang.map(|_| ()).map_err(RigError::io("cannot wait for a timer"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_wait_ends_when_it_is_due_and_not_with_the_next_millisecond() {
        let mut pacer = Pacer::new().unwrap();
        let mut late: Vec<Duration> = Vec::new();
        for _ in 0..20 {
            let due = Instant::now() + Duration::from_micros(300);
            pacer.sleep_until(due).await.unwrap();
            late.push(Instant::now().checked_duration_since(due).expect("it was not early"));
        }
        pacer.sleep_until(Instant::now()).await.unwrap();
        late.sort();
        assert!(late[0] < Duration::from_micros(500), "{late:?}");
    }
}
