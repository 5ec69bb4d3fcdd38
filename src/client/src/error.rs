//! Why a client has no key for its caller. No text holds a key, a signature or custom data.

use std::fmt;
use std::time::Duration;

use super::service_point::ServicePoint;
use super::signer::SignError;
use keymoot_crypto::RandomError;

/// Why the last request to one service point failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// The service point that failed.
    pub point: ServicePoint,
    /// The reason in a few words.
    pub reason: String,
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.point, self.reason)
    }
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No service point answered.
    #[error("no service point answered within {:.1} s: {}", waited.as_secs_f64(), listed(setbacks))]
    NoServicePoint {
        /// The failure of each service point.
        setbacks: Vec<Setback>,
        /// How long the client tried.
        waited: Duration,
    },
    /// Every service point was reached, and none can be trusted: its answer is not proved to be the
    /// key server's, or it asks for a weaker proof than this client gives. No answer was used.
    #[error("no service point can be trusted: {}", listed(setbacks))]
    Untrusted {
        /// The reason for each service point.
        setbacks: Vec<Setback>,
    },
    /// The key server understood the request and refused it. Another service point would do the
    /// same.
    #[error("{point} refused the request with status {status}: {message}")]
    Refused {
        /// The service point that refused.
        point: ServicePoint,
        /// The HTTP status of the refusal.
        status: u16,
        /// The server's message.
        message: String,
        /// The number under which the server's log has the reason.
        reference: Option<u64>,
    },
    /// The request may have been carried out, and must not be repeated without the caller's
    /// decision.
    #[error("whether the request was carried out is not known: {setback}")]
    OutcomeUnknown {
        /// The failure that lost the answer.
        setback: Setback,
    },
    /// The request could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The operating system's randomness failed, so no key was made.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The request cannot be written as JSON.
    #[error("the request cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
}

fn listed(setbacks: &[Setback]) -> String {
    setbacks.iter().map(Setback::to_string).collect::<Vec<_>>().join("; ")
}
