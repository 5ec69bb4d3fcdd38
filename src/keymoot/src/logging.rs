//! Log lines, as text for people or JSON for machines, on standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use keymoot_telemetry::line_writer;

use crate::config::{Log, LogFormat, LogLevelError};
use crate::log_limit::RaftLineLimit;

/// Where the HTTP client's library shows, at level trace, every byte of a request and its answer: keys,
/// tokens, signatures. It is never logged.
const WIRE_DUMPS: &str = "ureq_proto::util";

/// Where actix-http says, as an error, whatever a client's stream breaks off at: each stranger's garbage would be one.
/// What our own answers break off at, they say themselves.
const BROKEN_STREAMS: &str = "actix_http::h1";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    /// The level cannot be read.
    #[error("log.level `{level}` is no level or list of levels")]
    Level {
        /// What was configured.
        level: String,
        /// Which part of it cannot be read.
        source: LogLevelError,
    },
    /// Logging was started before, in this process.
    #[error("logging is set up already")]
    Started(#[source] TryInitError),
}

/// Starts logging for the whole process. Call it once, before anything is worth logging.
///
/// # Errors
/// [`LoggingError`] when the level cannot be read or logging was started before.
pub(crate) fn start_logging(log: &Log) -> Result<(), LoggingError> {
    let targets = targets(log)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(line_writer()).log_internal_errors(true);
    let registry = tracing_subscriber::registry().with(targets);
    let limit = RaftLineLimit::default();
    let started = match log.format {
        LogFormat::Text => {
            registry.with(lines.with_ansi(stderr().is_terminal()).with_filter(limit)).try_init()
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_filter(limit)).try_init(),
    };
    started.map_err(LoggingError::Started)
}

fn targets(log: &Log) -> Result<Targets, LoggingError> {
    let targets = log.targets();
    let targets = targets.map_err(|source| LoggingError::Level { level: log.level.clone(), source })?;
    Ok(targets.with_target(WIRE_DUMPS, LevelFilter::DEBUG).with_target(BROKEN_STREAMS, LevelFilter::OFF))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_that_cannot_be_read_is_refused() {
        let log = Log { level: "loud=very".to_owned(), ..Log::default() };
        assert!(matches!(start_logging(&log), Err(LoggingError::Level { .. })));
    }

    #[test]
    fn no_clients_garbage_is_an_error_of_ours() {
        let targets = targets(&Log { level: "trace,actix_http=trace".to_owned(), ..Log::default() }).unwrap();
        assert!(!targets.would_enable("actix_http::h1::dispatcher", &Level::ERROR));
        assert!(targets.would_enable("actix_http::service", &Level::ERROR));
    }

    #[test]
    fn no_level_shows_what_goes_over_the_wire() {
        for level in ["trace", "ureq_proto=trace", "ureq_proto::util=trace"] {
            let targets = targets(&Log { level: level.to_owned(), ..Log::default() }).unwrap();
            assert!(!targets.would_enable("ureq_proto::util", &Level::TRACE), "{level}");
            assert!(targets.would_enable("ureq_proto::util", &Level::DEBUG), "{level}");
        }
    }
}
