//! The common parts of all commands: their failures, and the signals that stop them.

mod failure;
mod stop_signal;

pub use failure::{Failure, FailureKind};
pub use stop_signal::StopSignal;

/// The prefix of environment variables that set a configuration key: `KEYMOOT__SECTION__KEY`.
pub const ENV_PREFIX: &str = "KEYMOOT__";
