//! What carries a request to a service point, and how that can fail.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::request::Request;
use super::service_point::ServicePoint;

/// An HTTP answer, whatever its status. The body may hold a key.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// How long the server asks to wait, from `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    /// The headers that are text, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

/// How far a request came that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It certainly never arrived.
    NotSent,
    /// It may have arrived, and may have been carried out.
    MaybeDone,
}

/// No answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How far the request came.
    pub reach: Reach,
    /// Why, in a few words.
    pub reason: String,
}

/// The network, or a test's stand-in.
pub trait Transport: Send + Sync {
    /// Sends one request to one service point and waits for the answer. It follows no redirect.
    ///
    /// # Errors
    /// [`Failure`] when no whole answer came in time.
    fn exchange(&self, point: &ServicePoint, request: &Request) -> Result<Answer, Failure>;

    /// Whether the service point says that it is ready to serve.
    ///
    /// # Errors
    /// [`Failure`] when it does not, or says nothing in time.
    fn probe(&self, point: &ServicePoint) -> Result<(), Failure>;
}
