//! How many lines of the log were left out, and by which limit. The log is the process', and so is the count.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, Opts};

const NAME: &str = "log_lines_left_out_total";
const HELP: &str =
    "Lines of the log that were left out because their client, or their condition, had so many.";
const LABEL: &str = "limit";

/// Lines that one limit left out.
#[derive(Debug)]
pub(super) struct Unlogged {
    limit: &'static str,
    lines: AtomicU64,
}

/// Lines that a client caused.
pub(super) static OF_CLIENTS: Unlogged = Unlogged::by("client");
/// Lines about a condition that lasts.
pub(super) static OF_CONDITIONS: Unlogged = Unlogged::by("condition");

impl Unlogged {
    const fn by(limit: &'static str) -> Self {
        Self { limit, lines: AtomicU64::new(0) }
    }

    /// One more.
    pub(super) fn count(&self) {
        self.lines.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

/// The metric of what was left out.
pub(super) struct UnloggedCollector(Desc);

impl UnloggedCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let label = vec![LABEL.to_owned()];
        Ok(Self(Desc::new(NAME.to_owned(), HELP.to_owned(), label, Default::default())?))
    }
}

impl Collector for UnloggedCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(counters) = IntCounterVec::new(Opts::new(NAME, HELP), &[LABEL]) else { return Vec::new() };
        for unlogged in [&OF_CLIENTS, &OF_CONDITIONS] {
            counters.with_label_values(&[unlogged.limit]).inc_by(unlogged.lines.load(Ordering::Relaxed));
        }
        counters.collect()
    }
}
