//! The common parts of all commands: their failures, the signals that stop them, and the tables they print.

mod failure;
mod stop_signal;
mod table;

pub use failure::{Failure, FailureKind};
pub use stop_signal::StopSignal;
pub use table::{Column, Table};

/// The prefix of environment variables that set a configuration key: `KEYMOOT__SECTION__KEY`.
pub const ENV_PREFIX: &str = "KEYMOOT__";
