//! Encrypting a file with a key of the cluster, by FFmpeg (Common Encryption or HLS AES-128) or
//! Shaka Packager.
//!
//! The key reaches the tool through a pipe that only this process and the tool can read: never on a
//! command line, in the environment or in a file, all of which other programs may see. The tool's
//! messages are shown without the key. The result appears complete under its name, or not at all;
//! existing files are replaced only if the caller asks for it.

mod error;
mod instructions;
mod output;
mod streams;
mod tool_run;

use std::path::{Path, PathBuf};

pub use error::ScrambleError;
use instructions::Instructions;
use output::Staging;

use super::FetchedKey;
use keymoot_drm::ProtectionScheme;
use keymoot_model::KeyUri;

/// The program that encrypts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// FFmpeg's MP4 writer: one file, all streams under one key, no `pssh` inside.
    Ffmpeg,
    /// Shaka Packager: a directory with a file for each stream and a DASH manifest, `pssh` inside.
    Packager,
    /// FFmpeg's HLS writer: a directory with a playlist and segments, AES-128 over whole segments.
    /// The playlist names this URI, from which players fetch the key.
    Hls(KeyUri),
}

impl Tool {
    /// The program's name in the search path.
    pub const fn program(&self) -> &'static str {
        match self {
            Self::Ffmpeg | Self::Hls(_) => "ffmpeg",
            Self::Packager => "packager",
        }
    }

    /// Whether it makes a directory of files instead of one file.
    const fn makes_directory(&self) -> bool {
        match self {
            Self::Ffmpeg => false,
            Self::Packager | Self::Hls(_) => true,
        }
    }
}

/// The keys of a file's streams.
#[derive(Debug)]
pub struct StreamKeys {
    /// That of video, and of audio unless it has one of its own.
    pub video: FetchedKey,
    /// That of audio.
    pub audio: Option<FetchedKey>,
}

impl StreamKeys {
    /// Each key with the kind of streams it is for; the one key of all streams without.
    fn by_kind(&self) -> Vec<(&'static str, &FetchedKey)> {
        match &self.audio {
            None => vec![("", &self.video)],
            Some(audio) => vec![("video", &self.video), ("audio", audio)],
        }
    }
}

impl From<FetchedKey> for StreamKeys {
    /// One key for all streams.
    fn from(key: FetchedKey) -> Self {
        Self { video: key, audio: None }
    }
}

/// The input, the tool and the output of an encryption.
#[derive(Clone, Debug)]
pub struct ScrambleJob {
    /// The file in the clear.
    pub input: PathBuf,
    /// The encrypted file, or the directory of encrypted files.
    pub output: PathBuf,
    /// The kind of program.
    pub tool: Tool,
    /// The program to run; a bare name is looked up in the search path.
    pub program: PathBuf,
    /// How samples are encrypted.
    pub scheme: ProtectionScheme,
    /// Whether existing files may be replaced.
    pub replace: bool,
}

/// The tool's progress. Encryption changes the size little, so the bytes written are a fair
/// measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes written so far.
    pub written: u64,
    /// Bytes of the input.
    pub input: u64,
}

impl ScrambleJob {
    /// Checks for errors that can be found before a key is requested.
    ///
    /// # Errors
    /// [`ScrambleError`] when the input is missing or the output would overwrite something.
    pub fn check(&self) -> Result<(), ScrambleError> {
        let input = std::fs::metadata(&self.input)
            .map_err(|source| ScrambleError::Input { path: self.input.clone(), source })?;
        if !input.is_file() {
            return Err(ScrambleError::NotAFile(self.input.clone()));
        }
        if is_same(&self.input, &self.output) {
            return Err(ScrambleError::Same(self.input.clone()));
        }
        if self.tool == Tool::Ffmpeg && self.scheme != ProtectionScheme::Cenc {
            return Err(ScrambleError::Scheme(self.scheme));
        }
        if self.tool == Tool::Packager {
            instructions::check_packager_path(&self.input)?;
            instructions::check_packager_path(&self.output)?;
        }
        output::check(&self.output, self.tool.makes_directory(), self.replace)
    }

    /// Encrypts, and returns the files that were made. `progress` is called now and then; when
    /// `stop` returns true, the tool is killed.
    ///
    /// # Errors
    /// [`ScrambleError`] when the tool failed, was interrupted or its output could not be named; no
    /// file is left behind.
    pub fn run(
        &self,
        keys: &StreamKeys,
        progress: &mut dyn FnMut(Progress),
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<PathBuf>, ScrambleError> {
        self.check()?;
        let staging = Staging::begin(&self.output, self.tool.makes_directory())?;
        let one = match keys.audio {
            None => Ok(&keys.video),
            Some(_) => Err(ScrambleError::OneKey(self.tool.program())),
        };
        let instructions = match &self.tool {
            Tool::Ffmpeg => Instructions::ffmpeg(&self.input, staging.path(), one?),
            Tool::Packager => {
                let streams = streams::list(&self.program, &self.input)?;
                Instructions::packager((&self.input, self.scheme), staging.path(), &streams, keys)
            }
            Tool::Hls(uri) => Instructions::hls(&self.input, staging.path(), uri, one?)?,
        };
        let input = std::fs::metadata(&self.input).map_or(0, |metadata| metadata.len());
        let mut watch = || progress(Progress { written: staging.bytes(), input });
        tool_run::run(&self.program, &instructions, &mut watch, stop)?;
        staging.commit(self.replace)
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests;
