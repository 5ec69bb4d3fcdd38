//! Refusals on the peer port: each is counted, and a few are logged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_telemetry::Metrics;

use crate::peer::rate_limit::RateLimit;

/// The most refusals that are logged in [`LOG_WINDOW`]; the metric counts all.
const LOGGED_MAX: usize = 10;
const LOG_WINDOW: Duration = Duration::from_secs(10);

/// Limits how often refusals are logged.
pub(crate) struct RefusalLog {
    limit: RateLimit,
    metrics: Arc<Metrics>,
}

impl RefusalLog {
    /// A log that counts in `metrics`.
    pub(crate) const fn new(metrics: Arc<Metrics>) -> Self {
        Self { limit: RateLimit::new(LOGGED_MAX, LOG_WINDOW), metrics }
    }

    /// Counts a refusal for a missing proof or right, and logs it unless the log limit is reached.
    /// `what` is a label of the metric.
    pub(crate) fn note(&self, what: &'static str, from: SocketAddr, reason: &str) {
        self.metrics.peer_refusals_total.with_label_values(&[what]).inc();
        if self.limit.try_acquire(Instant::now()) {
            tracing::warn!(%from, what, reason, "refused on the peer port");
        }
    }
}
