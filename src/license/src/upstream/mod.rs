//! The license servers of one DRM system: a list of which the first that works answers.
//!
//! Servers are tried in the order of the configuration. One that cannot be reached, is silent,
//! fails or breaks its protocol is skipped for the next; after repeated failures its circuit opens
//! for a while. A refusal is an answer: no other server is asked to overrule it. All of it ends by
//! a deadline. No more requests are under way at once than the configuration allows; the next is
//! refused at once, because a queue would hide the overload.

mod breaker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use keymoot_outgoing::{Outgoing, OutgoingError, OutgoingRequest, OutgoingResponse, ServerUrl};
use keymoot_telemetry::Metrics;

pub use breaker::{Breaker, BreakerSettings};

/// The limits for the servers of one system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The time limit for one server.
    pub timeout: Duration,
    /// The time limit for all tries together.
    pub deadline: Duration,
    /// The most requests under way at once.
    pub requests_max: usize,
    /// When a server's circuit opens.
    pub breaker: BreakerSettings,
}

/// Why a server's response is no license. The text is for the log; of the response it holds only a
/// status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it refused: {0}")]
    Refused(String),
    /// The server cannot serve at the moment.
    #[error("it failed: {0}")]
    Failed(String),
    /// The response is not one of the protocol.
    #[error("its answer is out of protocol: {0}")]
    OutOfProtocol(&'static str),
}

/// Why no server made a license. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// As many requests as are allowed are under way.
    #[error("{requests_max} requests to the {system} license servers are under way")]
    Busy { system: &'static str, requests_max: usize },
    /// No server could be asked, or none responded as expected.
    #[error("no {system} license server answered; the last said: {last}")]
    Down {
        system: &'static str,
        /// The outcome of the last try.
        last: String,
    },
    #[error("the {system} license server refused: {reason}")]
    Refused { system: &'static str, reason: String },
}

struct Server {
    url: ServerUrl,
    breaker: Breaker,
}

/// The license servers of one system.
pub struct Upstream {
    system: &'static str,
    servers: Vec<Server>,
    settings: UpstreamSettings,
    permits: Semaphore,
    outgoing: Outgoing,
    metrics: Arc<Metrics>,
}

impl Upstream {
    /// These servers, in the order in which they are tried.
    pub fn new(
        system: &'static str,
        urls: &[ServerUrl],
        settings: UpstreamSettings,
        outgoing: Outgoing,
        metrics: Arc<Metrics>,
    ) -> Self {
        let server = |url: &ServerUrl| Server { url: url.clone(), breaker: Breaker::new(settings.breaker) };
        let servers = urls.iter().map(server).collect();
        let permits = Semaphore::new(settings.requests_max);
        let upstream = Self { system, servers, settings, permits, outgoing, metrics };
        upstream.tell_how_many_rest();
        upstream
    }

    /// Sends the request to one server after the other until `read` accepts a response. `request`
    /// makes it anew for each try, because it is wiped after it is sent.
    ///
    /// # Errors
    /// [`UpstreamError`] when no license was made, or none arrived.
    pub async fn ask<T>(
        &self,
        request: impl Fn() -> OutgoingRequest,
        read: impl Fn(&OutgoingResponse) -> Result<T, Fault>,
    ) -> Result<T, UpstreamError> {
        let requests_max = self.settings.requests_max;
        let Ok(_permit) = self.permits.try_acquire() else {
            self.count("busy");
            return Err(UpstreamError::Busy { system: self.system, requests_max });
        };
        let until = Instant::now() + self.settings.deadline;
        let mut last = "all of them rest after failures".to_owned();
        for server in &self.servers {
            let now = Instant::now();
            if now >= until {
                break;
            }
            if !server.breaker.admits(now) {
                continue;
            }
            let within = self.settings.timeout.min(until - now);
            match self.try_one(server, request(), within, &read).await {
                Ok(license) => return Ok(license),
                Err(Fault::Refused(reason)) => {
                    return Err(UpstreamError::Refused { system: self.system, reason });
                }
                Err(fault) => {
                    tracing::warn!(system = self.system, server = %server.url, %fault, "a license server did not serve");
                    last = fault.to_string();
                }
            }
        }
        Err(UpstreamError::Down { system: self.system, last })
    }

    async fn try_one<T>(
        &self,
        server: &Server,
        request: OutgoingRequest,
        within: Duration,
        read: impl Fn(&OutgoingResponse) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let began = Instant::now();
        let response = self.outgoing.post(&server.url, request, within).await;
        self.metrics
            .license_server_seconds
            .with_label_values(&[self.system])
            .observe(began.elapsed().as_secs_f64());
        let (answer, outcome) = match response {
            Ok(response) => {
                let answer = read(&response);
                let outcome = outcome(&answer);
                (answer, outcome)
            }
            Err(error) => {
                let outcome =
                    if matches!(error, OutgoingError::Timeout { .. }) { "timeout" } else { "failed" };
                (Err(Fault::Failed(error.to_string())), outcome)
            }
        };
        self.count(outcome);
        match answer {
            Ok(_) | Err(Fault::Refused(_)) => server.breaker.succeeded(),
            Err(_) => server.breaker.failed(Instant::now()),
        }
        self.tell_how_many_rest();
        answer
    }

    fn count(&self, outcome: &str) {
        self.metrics.license_server_requests_total.with_label_values(&[self.system, outcome]).inc();
    }

    fn tell_how_many_rest(&self) {
        let resting = self.servers.iter().filter(|server| server.breaker.is_open()).count();
        let gauge = self.metrics.license_servers_resting.with_label_values(&[self.system]);
        gauge.set(i64::try_from(resting).unwrap_or(i64::MAX));
    }
}

fn outcome<T>(answer: &Result<T, Fault>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(Fault::Refused(_)) => "refused",
        Err(Fault::Failed(_)) => "failed",
        Err(Fault::OutOfProtocol(_)) => "nonsense",
    }
}

/// The body of a response whose status is a success.
///
/// # Errors
/// [`Fault::Refused`] where another server would refuse too, [`Fault::Failed`] otherwise.
pub fn body(response: &OutgoingResponse) -> Result<&[u8], Fault> {
    match response.status {
        200..=299 => Ok(&response.body),
        408 | 429 | 300..=399 | 500.. => Err(Fault::Failed(format!("HTTP status {}", response.status))),
        status => Err(Fault::Refused(format!("HTTP status {status}"))),
    }
}

/// A server's status word in a form that may be logged and shown: letters, digits and `_`,
/// shortened.
pub(crate) fn status_word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(48).collect()
}

#[cfg(test)]
mod tests;
