//! What the unit tests of several crates need.

#![allow(clippy::unwrap_used, reason = "only tests run this")]

mod captured_log;
pub mod pss_sample;

pub use captured_log::captured;
