//! What every command has: how it fails, and the signals that stop it.

mod failure;
mod stop_signal;

pub use failure::{Failure, FailureKind};
pub use stop_signal::StopSignal;

/// What every environment variable that sets a key of the configuration starts with:
/// `KEYMOOT__SECTION__KEY`.
pub const ENV_PREFIX: &str = "KEYMOOT__";
