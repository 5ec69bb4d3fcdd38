//! Refusals on the peer port: each is counted, and a few are logged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_telemetry::Metrics;

use crate::peer::rate_limit::RateLimit;

/// Refusals that are logged in [`LOG_WINDOW`]; the metric counts all.
const LOGGED_MAX: usize = 10;
const LOG_WINDOW: Duration = Duration::from_secs(10);

/// Bounds how often refusals are logged.
pub(crate) struct RefusalLog {
    limit: RateLimit,
    metrics: Arc<Metrics>,
}

impl RefusalLog {
    /// A log that counts in `metrics`.
    pub(crate) const fn new(metrics: Arc<Metrics>) -> Self {
        Self { limit: RateLimit::new(LOGGED_MAX, LOG_WINDOW), metrics }
    }

    /// Counts that something was refused for want of a proof or of a right, and logs it unless too much
    /// was logged lately. `what` is a label of the metric.
    pub(crate) fn note(&self, what: &'static str, from: SocketAddr, reason: &str) {
        self.metrics.peer_refusals_total.with_label_values(&[what]).inc();
        if self.limit.try_acquire(Instant::now()) {
            tracing::warn!(%from, what, reason, "refused on the peer port");
        }
    }
}
