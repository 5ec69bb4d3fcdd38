//! Whether this node knows every change of the accounts that is older than a second.
//!
//! What may be granted is looked up in the applied state of this node, which may be behind. A read barrier four times a
//! second confirms that it is not. A node that cannot confirm it is cut off from the quorum, or was paused: it looks
//! again before it grants anything. While it is cut off it goes on for accounts that read locally, for a bounded time,
//! because it cannot know what was taken away since. A node that hears its leader and knows that it lags is not cut off:
//! it grants nothing until it has caught up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use keymoot_cluster::{Cluster, ClusterError};
use keymoot_telemetry::Metrics;

use super::clock::now_ms;
use super::replicated_state::ReplicatedState;

/// For how long a confirmation counts, from when it was asked for.
const CONFIRMED_FOR: Duration = Duration::from_millis(900);
/// The pause after a confirmation.
const CONFIRM_EVERY: Duration = Duration::from_millis(250);
/// The pause after an attempt that failed: the node may be back at any time.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// How long an attempt may take.
const ATTEMPT_WITHIN: Duration = Duration::from_millis(700);
/// An attempt that took so much longer was interrupted by a pause of the process, and tells nothing.
const INTERRUPTED_AFTER: Duration = Duration::from_secs(1);
/// So many attempts in a row must fail before the node counts as cut off: one may have begun before a pause.
const FAILURES_MIN: u32 = 2;
/// For how long failures tell that the node is cut off. A node that was paused has none so young.
const CUT_OFF_FOR: Duration = Duration::from_millis(1500);
/// Within this time it is known whether a node is cut off.
const SETTLED_WITHIN: Duration = Duration::from_secs(3);
/// How often the contact is noted on disk.
const NOTE_EVERY: Duration = Duration::from_secs(30);

/// The contact of this node with the quorum.
pub struct QuorumContact<R = Cluster> {
    cluster: R,
    grants_for: Duration,
    /// The time since the last contact when the process started.
    before_start: Duration,
    started: Instant,
    latest: watch::Sender<Latest>,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Latest {
    /// When the last confirmation was asked for.
    confirmed: Option<Instant>,
    /// When the last attempt failed.
    failed: Option<Instant>,
    /// The attempts that failed since the last confirmation or interruption.
    failures: u32,
}

impl Latest {
    fn is_confirmed(&self) -> bool {
        self.confirmed.is_some_and(|at| at.elapsed() < CONFIRMED_FOR)
    }

    fn is_cut_off(&self) -> bool {
        self.failures >= FAILURES_MIN && self.failed.is_some_and(|at| at.elapsed() < CUT_OFF_FOR)
    }
}

impl<R: ReplicatedState> QuorumContact<R> {
    /// The contact of a node that was just started. Cut off, it grants for `grants_for`.
    pub fn new(cluster: R, grants_for: Duration, metrics: Arc<Metrics>) -> Self {
        // Without a note the count begins now; a note from the future counts as one from now.
        let noted = cluster.noted_contact_s();
        let before_start =
            noted.map_or(Duration::ZERO, |at_s| Duration::from_secs(now_s().saturating_sub(at_s)));
        let latest = watch::Sender::new(Latest::default());
        Self { cluster, grants_for, before_start, started: Instant::now(), latest, metrics }
    }

    /// Confirms again and again, for as long as the node runs.
    pub async fn keep(self: Arc<Self>) {
        let mut noted: Option<Instant> = None;
        let mut told: Option<bool> = None;
        loop {
            let began = Instant::now();
            let outcome = self.cluster.read_barrier_within(ATTEMPT_WITHIN).await;
            match &outcome {
                Ok(()) => {
                    self.note_confirmed(began);
                    if noted.is_none_or(|at| at.elapsed() >= NOTE_EVERY) {
                        self.cluster.note_contact(now_s());
                        noted = Some(began);
                    }
                }
                Err(error) => self.note_failed(began, error),
            }
            self.metrics.quorum_contact_age_seconds.set(self.age().as_secs_f64());
            self.tell(outcome.is_ok() || self.cluster.lag().is_some(), &mut told);
            tokio::time::sleep(if outcome.is_ok() { CONFIRM_EVERY } else { RETRY_AFTER }).await;
        }
    }

    /// Makes sure that what was taken away more than a second ago is known here. For an account that reads locally, a
    /// node that is cut off goes on for a time.
    ///
    /// # Errors
    /// When the cluster does not answer, and [`ClusterError::CutOff`] when it has not for too long.
    pub async fn confirm(&self, is_local: impl FnOnce() -> bool) -> Result<(), ClusterError> {
        if self.latest.borrow().is_confirmed() {
            return Ok(());
        }
        if !is_local() {
            let began = Instant::now();
            self.cluster.read_barrier().await?;
            self.note_confirmed(began);
            return Ok(());
        }
        let mut latest = self.latest.subscribe();
        let is_cut_off = |latest: &Latest| latest.is_cut_off() && self.cluster.lag().is_none();
        let settled = latest.wait_for(|latest| latest.is_confirmed() || is_cut_off(latest));
        let is_settled = tokio::time::timeout(SETTLED_WITHIN, settled).await.is_ok();
        if self.latest.borrow().is_confirmed() {
            return Ok(());
        }
        if !is_settled {
            return Err(self.cluster.lag().unwrap_or(ClusterError::NoQuorum { waited: SETTLED_WITHIN }));
        }
        let age = self.age();
        if age >= self.grants_for {
            return Err(ClusterError::CutOff { for_s: age.as_secs() });
        }
        self.metrics.cut_off_grants_total.inc();
        Ok(())
    }

    /// The time since the last contact.
    fn age(&self) -> Duration {
        match self.latest.borrow().confirmed {
            Some(at) => at.elapsed(),
            None => self.before_start.saturating_add(self.started.elapsed()),
        }
    }

    fn note_confirmed(&self, began: Instant) {
        self.latest.send_modify(|latest| {
            latest.confirmed = latest.confirmed.max(Some(began));
            latest.failures = 0;
        });
    }

    fn note_failed(&self, began: Instant, error: &ClusterError) {
        // A node that is overloaded is not cut off.
        let tells = !matches!(error, ClusterError::Busy { .. } | ClusterError::Stopped)
            && began.elapsed() < ATTEMPT_WITHIN + INTERRUPTED_AFTER;
        self.latest.send_modify(|latest| {
            latest.failed = Some(Instant::now());
            latest.failures = if tells { latest.failures.saturating_add(1) } else { 0 };
        });
    }

    /// Logs each change once.
    fn tell(&self, in_contact: bool, told: &mut Option<bool>) {
        let is_over = !in_contact && self.age() >= self.grants_for;
        let state = if in_contact { None } else { Some(is_over) };
        if *told == state || (state == Some(false) && self.age() < SETTLED_WITHIN) {
            return;
        }
        *told = state;
        let (age_s, bound_s) = (self.age().as_secs(), self.grants_for.as_secs());
        match state {
            None => tracing::info!("in contact with the leader again"),
            Some(false) => tracing::warn!(
                age_s,
                bound_s,
                "cut off from the quorum: accounts that read locally are served as they were, for as long as \
                 auth.cut_off_grants_s says"
            ),
            Some(true) => tracing::error!(
                age_s,
                bound_s,
                "cut off from the quorum for longer than auth.cut_off_grants_s: no account is served any more"
            ),
        }
    }
}

fn now_s() -> u64 {
    now_ms() / 1000
}
