//! The transport of requests to service points, and how it can fail.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::request::Request;
use super::service_point::ServicePoint;

/// An HTTP answer, whatever its status. The body may hold a key.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asks the client to wait, from `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    /// The headers whose values are text, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, zeroized on drop.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// How far a request without an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The request certainly never arrived.
    NotSent,
    /// The request may have arrived, and may have been carried out.
    MaybeDone,
}

/// The request got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How far the request came.
    pub reach: Reach,
    /// The reason in a few words.
    pub reason: String,
}

/// The network, or a fake in tests.
pub trait Transport: Send + Sync {
    /// Sends one request to one service point and waits for the answer. It follows no redirect.
    ///
    /// # Errors
    /// [`Failure`] when no whole answer came in time.
    fn exchange(&self, point: &ServicePoint, request: &Request) -> Result<Answer, Failure>;

    /// Checks that the service point reports to be ready.
    ///
    /// # Errors
    /// [`Failure`] when it does not, or does not answer in time.
    fn probe(&self, point: &ServicePoint) -> Result<(), Failure>;
}
