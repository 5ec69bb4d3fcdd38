//! The failure of a command: what went wrong, why, and a hint.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// The kind of a failure, which decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The command line or the configuration is wrong; nothing was started.
    Usage,
    /// The environment failed: a port, a disk, a peer.
    Runtime,
    /// No service point of a key server answered; the same command may succeed later.
    NoServicePoint,
    /// The cluster works, but not as it should.
    Degraded,
    /// The user or the system interrupted the command.
    Interrupted,
}

impl FailureKind {
    /// The exit code: 64 as `sysexits.h` has it, 130 as shells have it, 2 when nobody answered or the
    /// cluster is degraded, else 1.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Usage => ExitCode::from(64),
            Self::Runtime => ExitCode::from(1),
            Self::NoServicePoint | Self::Degraded => ExitCode::from(2),
            Self::Interrupted => ExitCode::from(130),
        }
    }
}

/// A failed command, in its printed form.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A mistake in the command line or the configuration.
    pub fn usage(error: impl Error) -> Self {
        Self { kind: FailureKind::Usage, message: chain(&error), hint: None }
    }

    /// A failure while running.
    pub fn runtime(error: impl Error) -> Self {
        Self { kind: FailureKind::Runtime, message: chain(&error), hint: None }
    }

    /// A failure of this kind.
    pub fn of_kind(kind: FailureKind, error: impl Error) -> Self {
        Self { kind, message: chain(&error), hint: None }
    }

    /// A mistake in the command line without an error type of its own.
    pub fn misuse(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Usage, message: message.into(), hint: None }
    }

    /// The cluster works, but not as it should.
    pub fn degraded(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Degraded, message: message.into(), hint: None }
    }

    /// A failure while running, without an error type of its own.
    pub fn because(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Runtime, message: message.into(), hint: None }
    }

    /// Adds a hint: what the reader can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, as a failure while running: the command line was right.
    #[must_use]
    pub fn at_runtime(self) -> Self {
        Self { kind: FailureKind::Runtime, ..self }
    }

    /// What went wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The kind of the failure.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keymoot: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The error and its sources, each of which describes only its own part.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the configuration {file}")]
    struct Unreadable {
        file: &'static str,
        source: std::io::Error,
    }

    #[test]
    fn a_failure_shows_the_whole_chain_and_its_hint() {
        let error = Unreadable { file: "f", source: std::io::ErrorKind::NotFound.into() };
        let failure = Failure::usage(error).hint("make it");
        assert_eq!(
            failure.to_string(),
            "keymoot: cannot read the configuration f: entity not found\nhint: make it"
        );
    }
}
