//! A real player: Shaka Player in Chromium, driven by Chromium's own driver.

mod browser;
mod page;

pub use browser::Browser;
pub use page::{Playback, Player};
