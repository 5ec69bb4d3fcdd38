//! How far a receiver is, for metrics and for whoever asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keymoot_telemetry::{LastingConditions, Metrics};

use crate::settings::{ReceiverName, ReceiverSettings};

/// How far a receiver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverProgress {
    pub name: ReceiverName,
    /// Where it is.
    pub place: String,
    /// It has all events below this number.
    pub acknowledged: u64,
    /// When it last acknowledged some, in milliseconds since 1970 UTC; `None`: not since the node started.
    pub acknowledged_at_ms: Option<u64>,
    /// How many it lacks.
    pub lag_events: u64,
    /// How old the oldest of them is, in seconds.
    pub lag_s: u64,
    /// Why it gets nothing now.
    pub error: Option<String>,
    /// For how long that has been so.
    pub troubled_for: Option<Duration>,
}

impl ReceiverProgress {
    /// What is amiss, as `problem; remedy`.
    pub(crate) fn complaint(&self) -> String {
        format!(
            "receiver \"{}\" of the audit at {} lacks {} events: {}; they are kept until it takes them: see the receiver, and \
             audit.receiver in the configuration",
            self.name,
            self.place,
            self.lag_events,
            self.error.as_deref().unwrap_or("it does not take them"),
        )
    }
}

/// What a receiver's task notes.
pub(crate) struct Progress {
    name: ReceiverName,
    place: String,
    metrics: Arc<Metrics>,
    noted: Mutex<Noted>,
    /// By their reasons: another one has a line of its own.
    troubles: LastingConditions<String>,
}

#[derive(Default)]
struct Noted {
    acknowledged: u64,
    acknowledged_at_ms: Option<u64>,
    lag_events: u64,
    lag_s: u64,
    trouble: Option<(Instant, String)>,
}

impl Progress {
    pub(crate) fn new(settings: &ReceiverSettings, metrics: &Arc<Metrics>) -> Self {
        let progress = Self {
            name: settings.name.clone(),
            place: settings.place(),
            metrics: metrics.clone(),
            noted: Mutex::default(),
            troubles: LastingConditions::new(),
        };
        // Series that are there from the start can be alerted on.
        progress.lags(0, 0);
        progress.missed(0);
        progress.resends(0);
        progress.count_failures(0);
        progress
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_str()
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.lock().acknowledged
    }

    pub(crate) fn seen(&self) -> ReceiverProgress {
        let noted = self.lock();
        ReceiverProgress {
            name: self.name.clone(),
            place: self.place.clone(),
            acknowledged: noted.acknowledged,
            acknowledged_at_ms: noted.acknowledged_at_ms,
            lag_events: noted.lag_events,
            lag_s: noted.lag_s,
            error: noted.trouble.as_ref().map(|(_, error)| error.clone()),
            troubled_for: noted.trouble.as_ref().map(|(since, _)| since.elapsed()),
        }
    }

    /// The receiver has all events below this number.
    pub(crate) fn has(&self, acknowledged: u64) {
        let mut noted = self.lock();
        noted.acknowledged = acknowledged;
        let was_troubled = noted.trouble.take().is_some();
        drop(noted);
        self.troubles.end_all(|_| true);
        if was_troubled {
            tracing::info!(receiver = %self.name, place = %self.place, "the receiver takes the audit again");
        }
    }

    /// It has just acknowledged some.
    pub(crate) fn acknowledges(&self, acknowledged: u64) {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.lock().acknowledged_at_ms = u64::try_from(now_ms).ok();
        self.has(acknowledged);
    }

    /// It lacks so many events, the oldest of which is so old.
    pub(crate) fn lags(&self, events: u64, oldest_s: u64) {
        let mut noted = self.lock();
        (noted.lag_events, noted.lag_s) = (events, oldest_s);
        drop(noted);
        let set = |gauge: &prometheus::IntGaugeVec, value: u64| {
            gauge.with_label_values(&[self.name.as_str()]).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.metrics.audit_receiver_lag_events, events);
        set(&self.metrics.audit_receiver_lag_seconds, oldest_s);
    }

    /// It gets nothing now.
    pub(crate) fn fails(&self, error: String) {
        self.count_failures(1);
        if let Some(unlogged) = self.troubles.note(error.clone()) {
            tracing::warn!(
                receiver = %self.name, place = %self.place, %error, unlogged,
                "the receiver does not take the audit; its events are kept for it"
            );
        }
        let mut noted = self.lock();
        let since = noted.trouble.take().map_or_else(Instant::now, |(since, _)| since);
        noted.trouble = Some((since, error));
    }

    /// So many events go to it again.
    pub(crate) fn resends(&self, events: u64) {
        self.metrics
            .audit_receiver_resent_events_total
            .with_label_values(&[self.name.as_str()])
            .inc_by(events);
    }

    /// So many events were deleted before it had them.
    pub(crate) fn missed(&self, events: u64) {
        self.metrics
            .audit_receiver_missed_events_total
            .with_label_values(&[self.name.as_str()])
            .inc_by(events);
        if events > 0 {
            tracing::error!(
                receiver = %self.name, place = %self.place, events,
                "events were deleted before the receiver had them; their numbers are missing there"
            );
        }
    }

    fn count_failures(&self, by: u64) {
        self.metrics.audit_receiver_failures_total.with_label_values(&[self.name.as_str()]).inc_by(by);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        // Nothing panics while it holds the lock.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
