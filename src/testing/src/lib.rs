//! What the unit tests of several crates need.

#![allow(clippy::unwrap_used, reason = "only tests run this")]

mod captured_log;
pub mod pss_sample;
mod stand_in;

pub use captured_log::captured;
pub use stand_in::stand_in;
