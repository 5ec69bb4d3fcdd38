//! Real players in Chromium, driven by Chromium's own driver.

mod browser;
mod page;
mod picture;
mod program;

pub use browser::Browser;
pub use page::{Playback, Player};
pub use picture::assert_shows_the_source;
pub use program::Program;
