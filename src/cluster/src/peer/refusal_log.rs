//! Refusals on the peer port: each is counted, and each kind from an address is logged once a minute.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use keymoot_telemetry::{LastingConditions, Metrics};

/// Counts refusals and logs them.
pub(crate) struct RefusalLog {
    lines: LastingConditions<(IpAddr, &'static str)>,
    metrics: Arc<Metrics>,
}

impl RefusalLog {
    /// A log that counts in `metrics`.
    pub(crate) const fn new(metrics: Arc<Metrics>) -> Self {
        Self { lines: LastingConditions::new(), metrics }
    }

    /// Counts a refusal for a missing proof or right, and logs it if a line is due. `what` is a label
    /// of the metric.
    pub(crate) fn note(&self, what: &'static str, from: SocketAddr, reason: &str) {
        self.metrics.peer_refusals_total.with_label_values(&[what]).inc();
        self.log(what, from, reason);
    }

    /// Logs that a peer was refused at the greeting, if a line is due.
    pub(crate) fn log(&self, what: &'static str, from: SocketAddr, reason: &str) {
        if let Some(unlogged) = self.lines.note((from.ip(), what)) {
            tracing::warn!(%from, what, reason, unlogged, "refused on the peer port");
        }
    }
}
