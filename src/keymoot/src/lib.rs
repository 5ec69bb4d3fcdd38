//! The `keymoot` program: its configuration, its log, and the commands that a person types.

pub mod cli;
pub mod config;
mod log_limit;
mod logging;
mod panics;
