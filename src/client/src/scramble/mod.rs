//! Encrypting a file with a key of the cluster, by FFmpeg (Common Encryption or HLS AES-128) or Shaka
//! Packager.
//!
//! The key reaches the tool through a pipe that only this process and the tool can read: never on a
//! command line, in an environment or in a file, all of which other programs may see. What the tool
//! says is shown without the key. The result appears whole under its name, or not at all; nothing
//! that was there before is lost unless the caller says so.

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
use keymoot_model::KeyUri;

/// The program that encrypts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    /// FFmpeg's MP4 writer: one file, all streams under one key, no `pssh` inside.
    Ffmpeg,
    /// Shaka Packager: a directory with a file for each stream and a DASH manifest, `pssh` inside.
    Packager,
    /// FFmpeg's HLS writer: a directory with a playlist and segments, AES-128 over whole segments. The
    /// playlist names this URI for players to get the key from.
    Hls(KeyUri),
}

impl Tool {
    /// The name it is looked for in the search path.
    pub const fn program(&self) -> &'static str {
        match self {
            Self::Ffmpeg | Self::Hls(_) => "ffmpeg",
            Self::Packager => "packager",
        }
    }

    /// Whether it makes a directory of files, not one file.
    const fn makes_directory(&self) -> bool {
        match self {
            Self::Ffmpeg => false,
            Self::Packager | Self::Hls(_) => true,
        }
    }
}

/// What is to be encrypted, by whom, to where.
#[derive(Clone, Debug)]
pub struct ScrambleJob {
    /// The file in the clear.
    pub input: PathBuf,
    /// The encrypted file, or the directory of encrypted files.
    pub output: PathBuf,
    /// Which kind of program.
    pub tool: Tool,
    /// Which program; found in the search path when it is a bare name.
    pub program: PathBuf,
    /// Whether files that are there already may be replaced.
    pub replace: bool,
}

/// How far the tool is. Encryption changes little in size, so the bytes written are a fair measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes written so far.
    pub written: u64,
    /// Bytes of the input.
    pub input: u64,
}

impl ScrambleJob {
    /// Looks for what must fail, before a key is asked for.
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
        if self.tool == Tool::Packager {
            instructions::check_packager_path(&self.input)?;
            instructions::check_packager_path(&self.output)?;
        }
        output::check(&self.output, self.tool.makes_directory(), self.replace)
    }

    /// Encrypts, and hands back what was made. `progress` is called now and then; when `stop` says
    /// so, the tool is ended.
    ///
    /// # Errors
    /// [`ScrambleError`]; then nothing was made, and nothing is left behind.
    pub fn run(
        &self,
        key: &FetchedKey,
        progress: &mut dyn FnMut(Progress),
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<PathBuf>, ScrambleError> {
        self.check()?;
        let staging = Staging::begin(&self.output, self.tool.makes_directory())?;
        let instructions = match &self.tool {
            Tool::Ffmpeg => Instructions::ffmpeg(&self.input, staging.path(), key),
            Tool::Packager => {
                let streams = streams::list(&self.program, &self.input)?;
                Instructions::packager(&self.input, staging.path(), &streams, key)
            }
            Tool::Hls(uri) => Instructions::hls(&self.input, staging.path(), uri, key)?,
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
