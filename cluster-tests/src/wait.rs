//! Waiting: always with a deadline, and never past an interrupt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::RigError;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// How often an awaited event is checked.
const STEP: Duration = Duration::from_millis(20);

/// Tries `attempt` every 20 ms until it succeeds or `within` has passed.
///
/// # Errors
/// [`RigError::Deadline`] with the last attempt's error, or [`RigError::Interrupted`].
pub fn wait_until<T>(
    what: &str,
    within: Duration,
    mut attempt: impl FnMut() -> Result<T, RigError>,
) -> Result<T, RigError> {
    let started = Instant::now();
    loop {
        not_interrupted()?;
        let last = match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => error.to_string(),
        };
        if started.elapsed() >= within {
            return Err(RigError::Deadline { what: what.to_owned(), waited: within, last });
        }
        std::thread::sleep(STEP);
    }
}

/// Sleeps.
///
/// # Errors
/// [`RigError::Interrupted`], soon after the interrupt.
pub fn pause(length: Duration) -> Result<(), RigError> {
    let until = Instant::now() + length;
    loop {
        not_interrupted()?;
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return Ok(()),
            left => std::thread::sleep(left.min(STEP)),
        }
    }
}

/// Makes SIGINT and SIGTERM end every wait, so that a program unwinds and its clusters end with it.
/// A second signal is not needed.
///
/// # Errors
/// When the operating system refuses a thread or a handler.
pub fn listen_for_interrupts() -> Result<(), RigError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RigError::io("cannot start the signal thread"))?;
    let (mut int, mut term) = {
        let _inside = runtime.enter();
        let handler = |kind| signal(kind).map_err(RigError::io("cannot handle signals"));
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
        });
        INTERRUPTED.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Checks that the program was not interrupted.
///
/// # Errors
/// [`RigError::Interrupted`] once a signal came.
pub fn not_interrupted() -> Result<(), RigError> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(RigError::Interrupted) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_in_vain_says_what_was_awaited_and_what_the_last_attempt_said() {
        let error =
            wait_until::<()>("rain", Duration::from_millis(30), || Err(RigError::Answer("dry".to_owned())))
                .unwrap_err();
        assert_eq!(error.to_string(), "waited 30 ms in vain for rain; the last attempt said: dry");
    }

    #[test]
    fn a_wait_ends_with_the_first_success() {
        let mut attempts = 0;
        let value = wait_until("the third attempt", Duration::from_secs(5), || {
            attempts += 1;
            if attempts < 3 { Err(RigError::Answer("not yet".to_owned())) } else { Ok(attempts) }
        })
        .unwrap();
        assert_eq!(value, 3);
    }
}
