//! The page with the player, and its state as seen from outside.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{Browser, Program};
use crate::RigError;
use crate::wait::{pause, wait_until};
use crate::web::{Asked, Served, WebServer};

const PAGE: &str = include_str!("page.html");
/// What Shaka Player is told, where a test has no words of its own for it.
const SHAKA: &str = include_str!("shaka.js");

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
    /// The player's error code, and what it says of it.
    pub error: Option<String>,
    /// `host:port` of the server that answered each license request, in order.
    pub licensed_by: Vec<String>,
}

impl Player {
    /// Starts a browser on a page where Shaka Player can play the media in `dir`; it takes license URLs.
    ///
    /// # Errors
    /// When browser or player is missing.
    pub fn start(dir: &Path) -> Result<Self, RigError> {
        Self::start_as(Program::Shaka, SHAKA, dir)
    }

    /// The same for any player. `start` defines the function of that name, which is called with the manifest and what
    /// [`Self::play`] is given, and plays in `video`; it may tell the page's `failed` and `seen`.
    ///
    /// # Errors
    /// When browser or player is missing.
    pub fn start_as(program: Program, start: &str, dir: &Path) -> Result<Self, RigError> {
        let (script, start, dir) = (program.script()?, start.to_owned(), dir.to_owned());
        let media = WebServer::start(move |asked| served(asked, &dir, [&script, start.as_bytes()]))?;
        let player = Self { browser: Browser::start()?, media };
        player.reopen()?;
        Ok(player)
    }

    /// The page's origin, as browsers name it to other sites.
    pub fn origin(&self) -> String {
        self.media.url("")
    }

    /// Opens the page anew, with nothing played yet.
    ///
    /// # Errors
    /// When the browser cannot.
    pub fn reopen(&self) -> Result<(), RigError> {
        self.browser.open(&self.media.url("/"))
    }

    /// Starts to play a manifest of the directory. What is told beside it is the start's to understand: for
    /// [`Self::start`] license URLs, of which the first is asked, and the next when there is no answer.
    ///
    /// # Errors
    /// When the page fails; a film that cannot be played shows in [`Playback::error`].
    pub fn play(&self, manifest: &str, more: &[String]) -> Result<(), RigError> {
        let manifest = self.media.url(&format!("/{manifest}"));
        self.browser.run("play(arguments[0], arguments[1]);", &[json!(manifest), json!(more)]).map(drop)
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

fn served(asked: &Asked, dir: &Path, [player, start]: [&[u8]; 2]) -> Served {
    match asked.path.as_str() {
        "/" => Served::ok("text/html; charset=utf-8", PAGE),
        "/player.js" => Served::ok("text/javascript", player),
        "/start.js" => Served::ok("text/javascript", start),
        // Only plain names are served, so that no path leads out of the directory.
        path => match path.strip_prefix('/').filter(|name| !name.contains(['/', '%'])) {
            Some(name) => std::fs::read(dir.join(name))
                .map_or_else(|_| Served::not_found(), |bytes| Served::ok(media_type(name), bytes)),
            None => Served::not_found(),
        },
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("mpd") => "application/dash+xml",
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("ts") => "video/mp2t",
        _ => "video/mp4",
    }
}
