//! What a node says about itself: log lines and metrics.
//!
//! Nothing here may carry a secret. That is kept by types, not by filters: a secret has no
//! `Display` and a redacted `Debug` (see `keymoot_crypto`), so a log line cannot hold one by
//! accident. What clients send and must not be logged either (user tokens, signatures, query
//! strings) is never passed to a log macro; routes are logged by their pattern.

mod causes;
mod declare;
mod lasting;
mod line_rate;
mod lines;
mod metrics;
mod process;
mod unlogged;
mod visible;

pub use causes::with_causes;
pub use lasting::LastingConditions;
pub use line_rate::LineRate;
pub use lines::line_writer;
pub use metrics::{Metrics, MetricsError, RaftRole};
pub use visible::{quoted, visible};
