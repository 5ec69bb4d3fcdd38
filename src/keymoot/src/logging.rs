//! Log lines, as text for people or JSON for machines, on standard error.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use keymoot_telemetry::audit_line_writer;

use crate::config::{Log, LogFormat};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level cannot be read.
    #[error("log.level `{level}` is no level or list of levels")]
    Level {
        /// What was configured.
        level: String,
        /// Why it cannot be read.
        source: ParseError,
    },
    /// Logging was started before, in this process.
    #[error("logging is set up already")]
    Started(#[source] TryInitError),
}

/// Starts logging for the whole process. Call it once, before anything is worth logging.
///
/// # Errors
/// [`LoggingError`] when the level cannot be read or logging was started before.
pub fn start_logging(log: &Log) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|source| LoggingError::Level { level: log.level.clone(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(audit_line_writer());
    let started = match log.format {
        LogFormat::Text => builder.with_ansi(stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    started.map_err(LoggingError::Started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_cannot_be_read_is_refused() {
        let log = Log { level: "loud=very".to_owned(), ..Log::default() };
        assert!(matches!(start_logging(&log), Err(LoggingError::Level { .. })));
    }
}
