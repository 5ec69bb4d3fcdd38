//! What the unit tests of several crates need.

mod captured_log;
pub mod pss_sample;

pub use captured_log::captured;
