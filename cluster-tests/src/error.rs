//! Why the rig could not do what a test asked of it.
//!
//! A test unwraps these errors, so `Debug` prints the same sentence as `Display`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An error of the rig, or of the cluster in the rig's view.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RigError {
    /// A file, process or socket could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// The operation, with the path or address.
        doing: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// An awaited event did not happen.
    #[error("waited {} ms in vain for {what}; the last attempt said: {last}", .waited.as_millis())]
    Deadline {
        /// The awaited event.
        what: String,
        /// How long the rig waited.
        waited: Duration,
        /// The last attempt's own error.
        last: String,
    },
    /// An answer that the protocol does not allow.
    #[error("{0}")]
    Answer(String),
    /// A program that the rig needs is missing or failed.
    #[error("{0}")]
    Program(String),
    /// A person or a supervisor asked the rig to stop.
    #[error("interrupted")]
    Interrupted,
}

impl fmt::Debug for RigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl RigError {
    /// An I/O error with the operation that failed.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// An I/O error at a path.
    pub fn at(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path: PathBuf = path.to_owned();
        move |source| Self::Io { doing: format!("cannot {verb} {}", path.display()), source }
    }

    /// The exit code of a program that fails with this error: 130 after an interrupt, as shells
    /// expect, else 1.
    pub fn exit_code(&self) -> std::process::ExitCode {
        match self {
            Self::Interrupted => std::process::ExitCode::from(130),
            _ => std::process::ExitCode::FAILURE,
        }
    }

    /// Whether the connection broke, as it does when the process at its other end is killed. A
    /// connection that stays silent for too long is not broken.
    pub fn is_broken_connection(&self) -> bool {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        matches!(self, Self::Io { source, .. } if !matches!(source.kind(), TimedOut | WouldBlock))
    }
}
