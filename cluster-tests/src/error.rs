//! Why the rig could not do what a test asked of it.
//!
//! A test unwraps these, so `Debug` reads like `Display`: the sentence is what a person sees.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What went wrong in the rig, or in the cluster as the rig sees it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RigError {
    /// A file, process or socket could not be used.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path or address.
        doing: String,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// Something awaited did not happen.
    #[error("waited {} ms in vain for {what}; the last attempt said: {last}", .waited.as_millis())]
    Deadline {
        /// What was awaited.
        what: String,
        /// How long.
        waited: Duration,
        /// The last attempt's own error.
        last: String,
    },
    /// An answer is not what the protocol allows.
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
    /// An I/O error with what was being done when it came.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// An I/O error at a path.
    pub fn at(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path: PathBuf = path.to_owned();
        move |source| Self::Io { doing: format!("cannot {verb} {}", path.display()), source }
    }

    /// How a program that met this ends: 130 after an interrupt, as shells expect, and else 1.
    pub fn exit_code(&self) -> std::process::ExitCode {
        match self {
            Self::Interrupted => std::process::ExitCode::from(130),
            _ => std::process::ExitCode::FAILURE,
        }
    }

    /// Whether the connection broke, as it does when the process at its other end is killed. A
    /// connection that stays silent for too long did not break.
    pub fn is_broken_connection(&self) -> bool {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        matches!(self, Self::Io { source, .. } if !matches!(source.kind(), TimedOut | WouldBlock))
    }
}
