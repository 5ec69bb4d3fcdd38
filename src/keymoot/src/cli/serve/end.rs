//! What ends a node: a signal, or that it cannot go on.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use keymoot_cluster::Cluster;
use keymoot_command::Failure;

/// The signals that stop a node. Until this exists, they kill the process.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// When the system does not permit it.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen_for = |kind| signal(kind).map_err(Failure::runtime);
        Ok(Self {
            interrupt: listen_for(SignalKind::interrupt())?,
            terminate: listen_for(SignalKind::terminate())?,
        })
    }
}

/// What ends a node.
pub(super) struct End {
    signals: Signals,
    failure: watch::Receiver<Option<String>>,
}

impl End {
    /// Of a node that has started.
    pub(super) fn of(signals: Signals, cluster: &Cluster) -> Self {
        Self { signals, failure: cluster.failure() }
    }

    /// Waits for it: why the node cannot go on, or `None` when it was told to stop.
    pub(super) async fn comes(&mut self) -> Option<String> {
        tokio::select! {
            _ = self.signals.interrupt.recv() => None,
            _ = self.signals.terminate.recv() => None,
            failed = self.failure.wait_for(Option::is_some) => {
                Some(failed.ok().and_then(|reason| reason.clone()).unwrap_or_else(|| "raft has stopped".into()))
            }
        }
    }
}
