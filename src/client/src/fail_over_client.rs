//! Sends one request to the service points until one answers it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::answer::read_refusal;
use super::backoff::pause;
use super::budget::RetryBudget;
use super::clock::Clock;
use super::connection::{Connection, Trouble};
use super::credentials::Credentials;
use super::error::{ClientError, Setback};
use super::fail_over::FailOver;
use super::metrics::{Count, Counters};
use super::request::Request;
use super::server_capabilities::ServerCapabilities;
use super::service_point::{ServicePoint, ServicePoints};
use super::settings::ClientSettings;
use super::transport::{Answer, Failure, Reach, Transport};

/// How often a waiting request checks whether the budget has a token for a retry.
const BUDGET_STEP: Duration = Duration::from_millis(250);

/// The limits of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// For how long it is retried.
    pub(super) patience: Duration,
    /// Whether it may be sent twice with the same effect as once.
    pub(super) repeatable: bool,
    /// How many points are tried per round.
    pub(super) points_max: usize,
}

impl Terms {
    /// A request that is tried at all points.
    pub(super) const fn patient(patience: Duration, repeatable: bool) -> Self {
        Self { patience, repeatable, points_max: ServicePoints::MAX }
    }
}

/// The service points and their health; shared by all threads of a scrambler.
pub(super) struct FailOverClient {
    points: ServicePoints,
    connection: Connection,
    clock: Box<dyn Clock>,
    settings: ClientSettings,
    fail_over: Mutex<FailOver>,
    budget: Mutex<RetryBudget>,
    counters: Counters,
}

/// The outcome of one attempt.
enum Outcome<T> {
    Done(T),
    Refused(ClientError),
    Setback { failure: Failure, retry_after: Option<Duration>, is_untrusted: bool },
}

impl FailOverClient {
    pub(super) fn new(
        points: ServicePoints,
        credentials: Credentials,
        transport: Box<dyn Transport>,
        clock: Box<dyn Clock>,
        settings: ClientSettings,
    ) -> Self {
        let budget = RetryBudget::new(settings.retries_max, settings.retries_per_second, clock.now());
        let count = points.as_slice().len();
        let connection = Connection::new(credentials, transport, settings.server_proof, count);
        let (fail_over, budget) = (Mutex::new(FailOver::new(count, &settings)), Mutex::new(budget));
        Self { points, connection, clock, settings, fail_over, budget, counters: Counters::default() }
    }

    /// The service points, the most preferred first.
    pub(super) fn points(&self) -> &[ServicePoint] {
        self.points.as_slice()
    }

    /// The state of the fail-over policy. No code panics while it holds the lock; after a panic its
    /// plain values would still be sound.
    pub(super) fn fail_over(&self) -> MutexGuard<'_, FailOver> {
        self.fail_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// The calendar's time since 1970 UTC.
    pub(super) fn calendar(&self) -> Duration {
        self.clock.calendar()
    }

    /// A random number in `0.0..1.0`.
    pub(super) fn chance(&self) -> f64 {
        self.clock.chance()
    }

    /// The client's counters.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The service point's capabilities, if it was asked for them.
    pub(super) fn capabilities(&self, at: usize) -> Option<ServerCapabilities> {
        self.connection.known(at)
    }

    /// Tries one service point after the other until `read` accepts an answer, and repeats that
    /// within the terms' patience. It gives up when none of the points that were tried can be
    /// trusted, because a retry would not help.
    pub(super) fn carry<T>(
        &self,
        request: &Request,
        terms: Terms,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, ClientError> {
        self.counters.count(Count::Request);
        let outcome = self.carry_to_any(request, terms, read);
        match &outcome {
            Ok(_) => self.counters.count(Count::Answered),
            Err(ClientError::Refused { .. }) => self.counters.count(Count::Refused),
            Err(_) => self.counters.count(Count::Unanswered),
        }
        outcome
    }

    fn carry_to_any<T>(
        &self,
        request: &Request,
        terms: Terms,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, ClientError> {
        let began = self.now();
        let deadline = began.saturating_add(terms.patience);
        let mut setbacks: Vec<Option<Setback>> = vec![None; self.points().len()];
        for round in 0_u32.. {
            let order = self.fail_over().order();
            let mut retry_after = Duration::ZERO;
            let (mut asked, mut distrusted) = (0, 0);
            for at in order.into_iter().take(terms.points_max) {
                let Some(point) = self.points().get(at) else { continue };
                if round > 0 && self.now() >= deadline {
                    break;
                }
                asked += 1;
                match self.attempt(at, point, request, &read)? {
                    Outcome::Done(value) => {
                        self.arrived(at);
                        return Ok(value);
                    }
                    Outcome::Refused(refusal) => {
                        self.arrived(at);
                        return Err(refusal);
                    }
                    Outcome::Setback { failure, retry_after: wanted, is_untrusted } => {
                        self.failed(at, point, &failure, is_untrusted);
                        distrusted += usize::from(is_untrusted);
                        retry_after = retry_after.max(wanted.unwrap_or_default());
                        let setback = Setback { point: point.clone(), reason: failure.reason };
                        if failure.reach == Reach::MaybeDone && !terms.repeatable {
                            return Err(ClientError::OutcomeUnknown { setback });
                        }
                        if let Some(slot) = setbacks.get_mut(at) {
                            *slot = Some(setback);
                        }
                    }
                }
            }
            if asked > 0 && distrusted == asked {
                return Err(ClientError::Untrusted { setbacks: setbacks.into_iter().flatten().collect() });
            }
            if !self.wait_for_retry(round, retry_after, deadline) {
                break;
            }
        }
        let setbacks = setbacks.into_iter().flatten().collect();
        Err(ClientError::NoServicePoint { setbacks, waited: self.now().saturating_sub(began) })
    }

    fn attempt<T>(
        &self,
        at: usize,
        point: &ServicePoint,
        request: &Request,
        read: &impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<Outcome<T>, ClientError> {
        self.counters.count(Count::Attempt);
        let now_s = self.calendar().as_secs();
        let answer = match self.connection.ask((at, point), request, now_s) {
            Ok(answer) => answer,
            Err(Trouble::Sign(error)) => return Err(error.into()),
            Err(Trouble::Failed(failure)) => {
                return Ok(Outcome::Setback { failure, retry_after: None, is_untrusted: false });
            }
            Err(Trouble::Untrusted(failure)) => {
                return Ok(Outcome::Setback { failure, retry_after: None, is_untrusted: true });
            }
        };
        Ok(match answer.status {
            200 => match read(&answer.body) {
                Ok(value) => Outcome::Done(value),
                Err(reason) => setback(reason, &answer),
            },
            // 408 and 429 are problems of the point; every other 4xx is one of the request.
            408 | 429 => setback(format!("status {}", answer.status), &answer),
            400..=499 => Outcome::Refused(refusal(point, &answer)),
            _ => setback(status_reason(&answer), &answer),
        })
    }

    fn arrived(&self, at: usize) {
        self.fail_over().succeeded(at);
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).earn();
    }

    fn failed(&self, at: usize, point: &ServicePoint, failure: &Failure, is_untrusted: bool) {
        self.connection.forget(at);
        self.counters.count(Count::Setback);
        if is_untrusted {
            self.counters.count(Count::Untrusted);
        }
        let (now, chance) = (self.clock.now(), self.clock.chance());
        let mut fail_over = self.fail_over();
        let moved = fail_over.failed(at, now, chance);
        let next = self.points().get(fail_over.current()).filter(|_| moved);
        match next {
            Some(next) => {
                self.counters.count(Count::FailOver);
                tracing::warn!(%point, reason = %failure.reason, %next, "failing over");
            }
            None => tracing::warn!(%point, reason = %failure.reason, "a service point failed"),
        }
    }

    /// Waits until all points may be tried again; returns false when that is past the deadline.
    fn wait_for_retry(&self, round: u32, retry_after: Duration, deadline: Duration) -> bool {
        let settings = &self.settings;
        let pause = pause(settings.pause_first, settings.pause_max, round, self.clock.chance());
        let until = self.now().saturating_add(pause.max(retry_after.min(settings.pause_max)));
        if until >= deadline {
            return false;
        }
        self.clock.sleep(until.saturating_sub(self.now()));
        loop {
            let now = self.now();
            let taken = self.budget.lock().unwrap_or_else(PoisonError::into_inner).take(now);
            match taken {
                Ok(()) => return true,
                // Another request's success may add a token sooner than the bucket fills.
                Err(wait) if now < deadline => self.clock.sleep(wait.min(BUDGET_STEP)),
                Err(_) => return false,
            }
        }
    }

    /// Probes the failed points that are due.
    pub(super) fn probe(&self) {
        let due = self.fail_over().due(self.now());
        for at in due {
            let Some(point) = self.points().get(at) else { continue };
            // The probe may take long, so the policy is not locked meanwhile.
            let found = self.connection.probe(point);
            let (now, chance) = (self.clock.now(), self.clock.chance());
            let mut fail_over = self.fail_over();
            match found {
                Ok(()) if fail_over.looked_healthy(at, now) => {
                    self.counters.count(Count::Recovery);
                    tracing::info!(%point, "a preferred service point is healthy; going back to it");
                }
                Ok(()) => {}
                Err(failure) => {
                    tracing::debug!(%point, reason = %failure.reason, "a service point is still down");
                    fail_over.looked_failed(at, now, chance);
                }
            }
        }
    }
}

fn setback<T>(reason: String, answer: &Answer) -> Outcome<T> {
    // An error status, 503 included, does not prove that nothing was done.
    let failure = Failure { reach: Reach::MaybeDone, reason };
    Outcome::Setback { failure, retry_after: answer.retry_after, is_untrusted: false }
}

fn status_reason(answer: &Answer) -> String {
    match answer.status {
        300..=399 => format!("status {}: it redirects, which no key server does", answer.status),
        status => format!("status {status}: {}", read_refusal(&answer.body).0),
    }
}

fn refusal(point: &ServicePoint, answer: &Answer) -> ClientError {
    let (message, reference) = read_refusal(&answer.body);
    ClientError::Refused { point: point.clone(), status: answer.status, message, reference }
}

#[cfg(test)]
mod tests;
