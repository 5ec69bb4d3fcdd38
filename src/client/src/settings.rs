//! The client's settings: time-outs, patience, cache.

use std::time::Duration;

use super::server_proof::ServerProof;

/// The time-outs for one request to one service point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The time-out for name resolution and connecting, TLS included.
    pub connect: Duration,
    /// The time-out for the answer after the request was sent. A node holds a request through an
    /// election for up to 10 s, so a shorter time-out would give up on a cluster that is about to
    /// answer.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(2), answer: Duration::from_secs(12) }
    }
}

/// The client's settings. The defaults suit a scrambler beside its key servers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClientSettings {
    /// How long a request is retried while no service point answers it. Each point is tried at
    /// least once, however short this is, and no new attempt begins after it.
    pub patience: Duration,
    /// The pause before all service points are tried again; it doubles each time.
    pub pause_first: Duration,
    /// The longest pause between retries.
    pub pause_max: Duration,
    /// How many retries the client may make in a burst, over all its requests.
    pub retries_max: u32,
    /// How many further retries the client earns each second.
    pub retries_per_second: f64,
    /// How soon a failed service point is probed; doubles with each failure.
    pub probe_first: Duration,
    /// The longest time between two probes.
    pub probe_max: Duration,
    /// For how long a service point must be healthy before the client goes back to it.
    pub settle: Duration,
    /// How long a fetched key may be used while no service point answers. Zero turns the cache off.
    pub outage_tolerance: Duration,
    /// The most keys in the cache.
    pub remembered_max: usize,
    /// The proof that an answer needs to be used.
    pub server_proof: ServerProof,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(60),
            pause_first: Duration::from_millis(200),
            pause_max: Duration::from_secs(5),
            retries_max: 10,
            retries_per_second: 1.0,
            probe_first: Duration::from_secs(1),
            probe_max: Duration::from_secs(15),
            settle: Duration::from_secs(30),
            outage_tolerance: Duration::ZERO,
            remembered_max: 1024,
            server_proof: ServerProof::Connection,
        }
    }
}
