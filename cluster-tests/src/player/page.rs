//! The page with the player, and its state as seen from outside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::Browser;
use crate::RigError;
use crate::wait::{pause, wait_until};
use crate::web::{Asked, Served, WebServer};

const PAGE: &str = include_str!("page.html");
/// The directory into which `scripts/real-clients` installs Shaka Player.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/real-clients");

/// The time limit for a displayed frame to be reported.
const FRAME_WITHIN: Duration = Duration::from_millis(300);
/// How long a picture may continue before it must stand still.
const STANDS_WITHIN: Duration = Duration::from_secs(30);

/// A page with a player, and the media it plays.
pub struct Player {
    browser: Browser,
    media: WebServer,
}

/// The state of the player.
#[derive(Clone, Debug, Deserialize)]
pub struct Playback {
    /// The position in seconds of the film.
    pub at_s: f64,
    /// The time of the displayed frame, in seconds of the film; `None` before the first.
    pub frame_s: Option<f64>,
    /// The number of frames displayed so far.
    pub frames: u32,
    /// Whether it reached the film's end.
    pub ended: bool,
    /// The player's error code, and the name of its category.
    pub error: Option<String>,
    /// `host:port` of the server that answered each license request, in order.
    pub licensed_by: Vec<String>,
}

impl Player {
    /// Starts a browser on a page that can play the media in `dir`.
    ///
    /// # Errors
    /// When browser or player is missing.
    pub fn start(dir: &Path) -> Result<Self, RigError> {
        let script = shaka_player()?;
        let script = std::fs::read(&script).map_err(RigError::at("read", &script))?;
        let dir = dir.to_owned();
        let media = WebServer::start(move |asked| served(asked, &dir, &script))?;
        let browser = Browser::start()?;
        browser.open(&media.url("/"))?;
        Ok(Self { browser, media })
    }

    /// Starts to play a manifest of the directory. Licenses are requested from the first of these
    /// URLs, and from the next when there is no answer.
    ///
    /// # Errors
    /// When the page fails; a film that cannot be played shows in [`Playback::error`].
    pub fn play(&self, manifest: &str, license_urls: &[String]) -> Result<(), RigError> {
        let manifest = self.media.url(&format!("/{manifest}"));
        self.browser
            .run("play(arguments[0], arguments[1]);", &[json!(manifest), json!(license_urls)])
            .map(drop)
    }

    /// The present state.
    ///
    /// # Errors
    /// When the page does not answer.
    pub fn playback(&self) -> Result<Playback, RigError> {
        let seen = self.browser.run("return playback();", &[])?;
        serde_json::from_value(seen).map_err(|error| RigError::Answer(format!("the page says: {error}")))
    }

    /// Waits until the state is `wanted`; fails at once when the player stopped with an error.
    ///
    /// # Errors
    /// When it is not in time, with the last state.
    pub fn wait_for(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Playback) -> bool,
    ) -> Result<Playback, RigError> {
        let mut stopped = false;
        let seen = wait_until(what, within, || {
            let seen = self.playback()?;
            let is_there = wanted(&seen);
            stopped = seen.error.is_some() && !is_there;
            if is_there || stopped { Ok(seen) } else { Err(RigError::Answer(format!("{seen:?}"))) }
        })?;
        if stopped {
            Err(RigError::Answer(format!("the player stopped before {what}: {seen:?}")))
        } else {
            Ok(seen)
        }
    }

    /// Waits until no further frame has come for `length`, and the position is unchanged.
    ///
    /// # Errors
    /// When playback continues.
    pub fn wait_for_standstill(&self, length: Duration) -> Result<Playback, RigError> {
        wait_until("the picture to stand still", STANDS_WITHIN, || {
            let before = self.playback()?;
            pause(length)?;
            match self.playback()? {
                now if (now.frames, now.at_s) == (before.frames, before.at_s) => Ok(now),
                now => Err(RigError::Answer(format!("it moves: {now:?}"))),
            }
        })
    }

    /// Continues after [`Player::freeze`].
    ///
    /// # Errors
    /// When the page does not answer.
    pub fn resume(&self) -> Result<(), RigError> {
        self.browser.run("document.getElementById('video').play();", &[]).map(drop)
    }

    /// Stops on the displayed frame and returns a PNG of it with its time.
    ///
    /// # Errors
    /// When no frame was displayed yet.
    pub fn freeze(&self) -> Result<(Vec<u8>, f64), RigError> {
        self.browser.run("document.getElementById('video').pause();", &[])?;
        let before = self.playback()?;
        let settled = self.wait_for_standstill(FRAME_WITHIN)?;
        let shown = settled.frame_s.or(before.frame_s);
        let at_s = shown.ok_or_else(|| RigError::Answer("no frame was shown".to_owned()))?;
        Ok((self.browser.picture("#video")?, at_s))
    }
}

fn served(asked: &Asked, dir: &Path, script: &[u8]) -> Served {
    match asked.path.as_str() {
        "/" => Served::ok("text/html; charset=utf-8", PAGE),
        "/shaka-player.js" => Served::ok("text/javascript", script),
        // Only plain names are served, so that no path leads out of the directory.
        path => match path.strip_prefix('/').filter(|name| !name.contains(['/', '%'])) {
            Some(name) => std::fs::read(dir.join(name))
                .map_or_else(|_| Served::not_found(), |bytes| Served::ok(media_type(name), bytes)),
            None => Served::not_found(),
        },
    }
}

fn media_type(name: &str) -> &'static str {
    if name.ends_with(".mpd") { "application/dash+xml" } else { "video/mp4" }
}

fn shaka_player() -> Result<PathBuf, RigError> {
    let missing =
        || RigError::Program(format!("there is no Shaka Player in {INSTALLED}: run scripts/real-clients"));
    let folders = std::fs::read_dir(INSTALLED).map_err(|_| missing())?;
    let is_player = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("shaka-player-"))
    };
    let folder = folders.filter_map(|entry| entry.ok().map(|entry| entry.path())).find(is_player);
    folder
        .map(|folder| folder.join("shaka-player.compiled.js"))
        .filter(|path| path.is_file())
        .ok_or_else(missing)
}
