//! The fatal signal: stops this node for a reason that it cannot fix, such as its removal.

use tokio::sync::watch;

/// Stops this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct FatalSignal {
    reason: watch::Sender<Option<String>>,
}

impl Default for FatalSignal {
    fn default() -> Self {
        Self { reason: watch::Sender::new(None) }
    }
}

impl FatalSignal {
    /// Becomes the reason once there is one.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<String>> {
        self.reason.subscribe()
    }

    /// Logs the reason and stops the node, unless it is stopping already.
    pub(crate) fn raise(&self, reason: &str) {
        self.reason.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                tracing::error!(reason, "the node cannot go on");
                *known = Some(reason.to_owned());
            }
            first
        });
    }

    /// Stops the node, unless it is stopping already. The caller has logged the reason.
    pub(crate) fn raise_logged(&self, reason: String) {
        self.reason.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(reason);
            first
        });
    }

    /// Stops the node for this reason, even if there was another one: it names the cause more
    /// precisely.
    pub(crate) fn replace(&self, reason: String) {
        self.reason.send_replace(Some(reason));
    }
}
