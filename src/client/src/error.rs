//! Why a client has no key for its caller. No text holds a key, a signature or custom data.

use std::fmt;
use std::time::Duration;

use super::service_point::ServicePoint;
use super::signer::SignError;
use keymoot_crypto::RandomError;

/// What went wrong at one service point, the last time it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// The service point.
    pub point: ServicePoint,
    /// Why, in a few words.
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
    /// Nobody answered.
    #[error("no service point answered within {:.1} s: {}", waited.as_secs_f64(), listed(setbacks))]
    NoServicePoint {
        /// What went wrong at each.
        setbacks: Vec<Setback>,
        /// For how long it was tried.
        waited: Duration,
    },
    /// Every service point was reached, and none can be trusted: its answer is not proved to be the key
    /// server's, or it asks for a weaker proof than this client gives. No answer was used.
    #[error("no service point can be trusted: {}", listed(setbacks))]
    Untrusted {
        /// What is wrong with each.
        setbacks: Vec<Setback>,
    },
    /// The key server understood the request and refused it. Another point would do the same.
    #[error("{point} refused the request with status {status}: {message}")]
    Refused {
        /// Who refused.
        point: ServicePoint,
        /// The HTTP status.
        status: u16,
        /// The server's own words.
        message: String,
        /// Finds the reason in the server's log.
        reference: Option<u64>,
    },
    /// The request may have been carried out, and must not be repeated unasked.
    #[error("whether the request was carried out is not known: {setback}")]
    OutcomeUnknown {
        /// Where it was lost.
        setback: Setback,
    },
    /// The request could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No key could be made.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The request cannot be written down.
    #[error("the request cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
}

fn listed(setbacks: &[Setback]) -> String {
    setbacks.iter().map(Setback::to_string).collect::<Vec<_>>().join("; ")
}
