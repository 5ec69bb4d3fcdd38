//! What a node says about itself: log lines and metrics.
//!
//! Nothing here may carry a secret. That is kept by types, not by filters: a secret has no
//! `Display` and a redacted `Debug` (see [`crate::crypto`]), so a log line cannot hold one by
//! accident. What clients send and must not be logged either (user tokens, signatures, query
//! strings) is never passed to a log macro; routes are logged by their pattern.

mod declare;
mod lines;
mod logging;
mod metrics;
mod panics;
mod process;

pub use lines::{WritesGrants, write_grants};
pub use logging::{LoggingError, start_logging};
pub use metrics::{Metrics, MetricsError, RaftRole};
pub use panics::abort_on_panic;
