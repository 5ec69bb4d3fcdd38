//! How far a backup is, on standard error: a line that is written over on a terminal, else now and then
//! a line when it was asked for, else nothing.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What has come so far.
pub(super) struct Progress {
    terminal: bool,
    every: Option<Duration>,
    began: Instant,
    last: Instant,
    bytes: u64,
}

impl Progress {
    pub(super) fn new(verbose: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let every = match (terminal, verbose) {
            (true, _) => Some(Duration::from_millis(250)),
            (false, true) => Some(Duration::from_secs(5)),
            (false, false) => None,
        };
        let now = Instant::now();
        Self { terminal, every, began: now, last: now, bytes: 0 }
    }

    /// More bytes came.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.every.is_some_and(|every| self.last.elapsed() >= every) {
            self.last = Instant::now();
            let (begin, end) = if self.terminal { ("\r", "   ") } else { ("", "\n") };
            // Nobody hears a progress that cannot be written.
            let _ = write!(std::io::stderr(), "{begin}{}{end}", self.line());
        }
    }

    /// Ends the line, and says what came.
    pub(super) fn finish(&self) -> String {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        self.line()
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    fn line(&self) -> String {
        let (megabytes, seconds) = (self.bytes as f64 / 1e6, self.began.elapsed().as_secs_f64());
        format!("{megabytes:.1} MB in {seconds:.1} s, {:.1} MB/s", megabytes / seconds.max(0.001))
    }
}
