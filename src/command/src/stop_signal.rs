//! Stop requests: Ctrl-C, SIGTERM, or the closing of the terminal.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Failure;

/// Waits for a stop request; can be awaited again for a second, more urgent one.
pub struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl StopSignal {
    /// Replaces the default handling of the signals, which would end this process at once.
    pub fn listen() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::runtime);
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Returns at the next stop request.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
