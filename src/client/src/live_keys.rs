//! The keys of a live stream: of the current crypto period and of coming ones, fetched ahead in the
//! background, so that a scrambler survives an outage of the whole key server.
//!
//! Asking for a key never waits for the network. When an outage lasts longer than the prefetched
//! keys, there is an error that says so: a live stream must not continue with an old key.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use time::OffsetDateTime;

use super::backoff::pause;
use super::error::ClientError;
use super::fail_over_client::Terms;
use super::key_client::KeyClient;
use super::period_answer::PeriodKey;
use super::periods::{PeriodStart, PeriodsWanted};
use super::prefetch_window::{Due, KEYS_PER_REQUEST, PrefetchWindow};
use keymoot_model::{ContentId, TrackName};

/// How often the thread checks whether keys are due.
const STEP: Duration = Duration::from_millis(200);
/// The pause after a failed fetch; doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause after failed fetches.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The stream, and which keys are prefetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePlan {
    /// The content of the stream.
    pub content: ContentId,
    /// The track that the keys are for.
    pub track: TrackName,
    /// The length of each crypto period, in seconds.
    pub length_s: u32,
    /// When the period of index 0 starts. All scramblers and players of a stream must agree on it.
    pub epoch: OffsetDateTime,
    /// For how long keys are held ahead: the longest outage of the whole key server that the stream
    /// survives.
    pub prefetch: Duration,
    /// How often the held keys are fetched again, so that a replaced one is noticed.
    pub recheck: Duration,
}

impl LivePlan {
    /// The most periods that `prefetch` may cover; each takes some 2 KiB.
    pub const PERIODS_MAX: u64 = 4096;

    /// Periods counted from 1970, prefetched for ten minutes and checked every minute.
    pub const fn new(content: ContentId, track: TrackName, length_s: u32) -> Self {
        let (prefetch, recheck) = (Duration::from_secs(600), Duration::from_secs(60));
        Self { content, track, length_s, epoch: OffsetDateTime::UNIX_EPOCH, prefetch, recheck }
    }

    fn check(&self) -> Result<(), LiveKeysError> {
        match self.prefetch.as_secs().checked_div(u64::from(self.length_s)) {
            None => Err(LiveKeysError::Length),
            Some(periods) if periods > Self::PERIODS_MAX => Err(LiveKeysError::TooFar { periods }),
            Some(_) => Ok(()),
        }
    }
}

/// Why a live stream has no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveKeysError {
    /// The length of a period is 0.
    #[error("a crypto period of a live stream lasts at least one second")]
    Length,
    /// The plan asks for more keys than [`LivePlan::PERIODS_MAX`].
    #[error("the time to prefetch holds {periods} crypto periods; at most {max} are held", max = LivePlan::PERIODS_MAX)]
    TooFar {
        /// The number of periods that the plan asks for.
        periods: u64,
    },
    /// The first keys could not be fetched.
    #[error("the first keys of the live stream cannot be fetched")]
    First(#[source] ClientError),
    /// The thread could not be started.
    #[error("the thread that fetches keys ahead cannot be started")]
    Thread(#[source] std::io::Error),
    /// No keys are left, because the key server has not answered for too long, or refuses.
    #[error("no key for crypto period {index}: those fetched ahead are used up{}", cause(last_failure))]
    UsedUp {
        /// The index of the period without a key.
        index: u32,
        /// Why the last fetch failed.
        last_failure: Option<String>,
    },
    /// The period is over, or too far ahead.
    #[error("crypto period {index} is not held: it is over, or beyond the time that is prefetched")]
    NotHeld {
        /// The index of the period that was requested.
        index: u32,
    },
    /// The system clock is outside the periods that can be counted.
    #[error("there is no crypto period at this time; check the epoch and this machine's clock")]
    NoPeriod,
}

fn cause(last_failure: &Option<String>) -> String {
    last_failure.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default()
}

/// How many keys a live stream has in advance, for a scrambler's own monitoring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveStatus {
    /// The time until which keys are held without a gap; `None` when the current one is missing.
    pub held_until: Option<OffsetDateTime>,
    /// For how long keys are held ahead.
    pub depth: Duration,
    /// How many keys are held.
    pub keys: usize,
    /// When the current period ends and the next key starts.
    pub next_change: Option<OffsetDateTime>,
    /// The time since which fetches have failed.
    pub failing_since: Option<OffsetDateTime>,
    /// Why the last fetch failed.
    pub last_failure: Option<String>,
}

struct State {
    prefetch_window: PrefetchWindow,
    failing_since: Option<OffsetDateTime>,
    last_failure: Option<String>,
    failures: u32,
    /// The next fetch is not before this time of the client's clock.
    next_try: Duration,
}

/// The state shared by the thread and the callers.
struct Supply {
    client: Arc<KeyClient>,
    plan: LivePlan,
    state: Mutex<State>,
}

/// The keys of a live stream, prefetched by a thread for as long as this value lives.
pub struct LiveKeys {
    supply: Arc<Supply>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LiveKeys {
    /// Fetches the first keys, which makes the track's schedule when there is none, and starts the
    /// thread.
    ///
    /// # Errors
    /// [`LiveKeysError`] when the plan is not sound or the key server returns no keys within the
    /// client's patience.
    pub fn start(client: Arc<KeyClient>, plan: LivePlan) -> Result<Self, LiveKeysError> {
        let supply = Arc::new(Supply::new(client, plan)?);
        supply.begin().map_err(LiveKeysError::First)?;
        let (stop, stopped) = channel();
        let kept = supply.clone();
        let thread = std::thread::Builder::new().name("keymoot-live-keys".into()).spawn(move || {
            while stopped.recv_timeout(STEP) == Err(RecvTimeoutError::Timeout) {
                kept.refresh();
            }
        });
        let thread = thread.map_err(LiveKeysError::Thread)?;
        Ok(Self { supply, stop: Some(stop), thread: Some(thread) })
    }

    /// The key of the current period, by the system clock.
    ///
    /// # Errors
    /// [`LiveKeysError::UsedUp`] when an outage has lasted too long.
    pub fn current(&self) -> Result<PeriodKey, LiveKeysError> {
        self.supply.current()
    }

    /// The key of a period: the last, the current, or one that is held ahead.
    ///
    /// # Errors
    /// [`LiveKeysError::NotHeld`] for any other period.
    pub fn period(&self, index: u32) -> Result<PeriodKey, LiveKeysError> {
        let key = self.supply.state().prefetch_window.key(index).map(PeriodKey::copy);
        key.ok_or(LiveKeysError::NotHeld { index })
    }

    /// The state of the supply of keys.
    pub fn status(&self) -> LiveStatus {
        self.supply.status()
    }
}

impl Drop for LiveKeys {
    /// Ends the thread after its current request. All keys are zeroized.
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic in the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Supply {
    fn new(client: Arc<KeyClient>, plan: LivePlan) -> Result<Self, LiveKeysError> {
        plan.check()?;
        let (failing_since, last_failure) = (None, None);
        let prefetch_window = PrefetchWindow::new(plan.clone());
        let state =
            State { prefetch_window, failing_since, last_failure, failures: 0, next_try: Duration::ZERO };
        Ok(Self { client, plan, state: Mutex::new(state) })
    }

    /// The first fetch, with the client's full patience.
    fn begin(&self) -> Result<(), ClientError> {
        let due = self.state().prefetch_window.due(self.calendar());
        match due {
            Some(due) => self.fetch(due, Terms::patient(self.client.settings.patience, true)),
            None => Ok(()),
        }
    }

    /// Fetches the keys that are due, unless the last try was too recent.
    fn refresh(&self) {
        let now = self.client.fail_over_client.now();
        let due = {
            let (mut state, calendar) = (self.state(), self.calendar());
            state.prefetch_window.drop_past(calendar);
            if now < state.next_try {
                return;
            }
            state.prefetch_window.due(calendar)
        };
        let Some(due) = due else { return };
        // No caller waits for this fetch, and it is retried soon.
        match self.fetch(due, Terms::patient(Duration::ZERO, true)) {
            Ok(()) => self.recovered(),
            Err(error) => self.failed(&error),
        }
    }

    fn fetch(&self, due: Due, terms: Terms) -> Result<(), ClientError> {
        let mut first = due.first;
        while first <= due.last {
            let count = (due.last - first).saturating_add(1).min(KEYS_PER_REQUEST);
            let wanted = PeriodsWanted {
                track: self.plan.track.clone(),
                length_s: self.plan.length_s,
                start: PeriodStart::Index(first),
                count,
                epoch: Some(self.plan.epoch),
            };
            let schedule = self.client.periods_within(&self.plan.content, &wanted, true, terms)?;
            let now = self.calendar();
            self.state().prefetch_window.take(schedule.periods, now);
            let Some(next) = first.checked_add(count) else { break };
            first = next;
        }
        if due.is_check {
            let now = self.calendar();
            self.state().prefetch_window.checked(now);
        }
        Ok(())
    }

    fn recovered(&self) {
        let (mut state, now) = (self.state(), self.calendar());
        if let Some(since) = state.failing_since.take() {
            let depth_s = state.prefetch_window.depth(now).as_secs();
            let failed_s = (now - since).whole_seconds();
            tracing::info!(content = %self.plan.content, failed_s, depth_s, "live keys are fetched ahead again");
        }
        (state.last_failure, state.failures, state.next_try) = (None, 0, Duration::ZERO);
    }

    fn failed(&self, error: &ClientError) {
        let (now, calendar) = (self.client.fail_over_client.now(), self.calendar());
        let mut state = self.state();
        let wait = pause(PAUSE_FIRST, PAUSE_MAX, state.failures, self.client.fail_over_client.chance());
        state.next_try = now.saturating_add(wait);
        state.failures = state.failures.saturating_add(1);
        let is_refused = matches!(error, ClientError::Refused { .. });
        if is_refused {
            state.prefetch_window.revoke(calendar);
        }
        let (content, depth_s) = (&self.plan.content, state.prefetch_window.depth(calendar).as_secs());
        match (state.failing_since, is_refused) {
            (None, true) => {
                tracing::error!(%content, %error, "the key server refuses the live stream's keys")
            }
            (None, false) => tracing::warn!(%content, %error, depth_s, "live keys cannot be fetched ahead"),
            (Some(_), _) => tracing::debug!(%content, %error, depth_s, "live keys still cannot be fetched"),
        }
        state.failing_since.get_or_insert(calendar);
        state.last_failure = Some(error.to_string());
    }

    fn current(&self) -> Result<PeriodKey, LiveKeysError> {
        let state = self.state();
        let index = state.prefetch_window.index_at(self.calendar()).ok_or(LiveKeysError::NoPeriod)?;
        let key = state.prefetch_window.key(index).map(PeriodKey::copy);
        key.ok_or_else(|| LiveKeysError::UsedUp { index, last_failure: state.last_failure.clone() })
    }

    fn status(&self) -> LiveStatus {
        let (state, now) = (self.state(), self.calendar());
        LiveStatus {
            held_until: state.prefetch_window.held_until(now),
            depth: state.prefetch_window.depth(now),
            keys: state.prefetch_window.len(),
            next_change: state.prefetch_window.next_start(now),
            failing_since: state.failing_since,
            last_failure: state.last_failure.clone(),
        }
    }

    fn calendar(&self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
            .saturating_add(self.client.fail_over_client.calendar().try_into().unwrap_or_default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The keys are complete, even if a thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
