//! Why nothing was encrypted. No text holds a key.

use std::io;
use std::path::PathBuf;

/// Why a file was not encrypted. Whatever it is, nothing half done is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScrambleError {
    /// The input cannot be read.
    #[error("cannot read {}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The input is a directory or a device.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Input and output are one file.
    #[error("{} cannot be encrypted into itself; name another output", .0.display())]
    Same(PathBuf),
    /// Something is there already.
    #[error("{} exists already and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// Shaka Packager reads a comma as the end of a path.
    #[error("{} holds a comma, which Shaka Packager cannot read in a path; rename it, or use FFmpeg", .0.display())]
    Comma(PathBuf),
    /// Nothing to encrypt.
    #[error("{} holds neither video nor audio that the tool knows", .0.display())]
    NoStreams(PathBuf),
    /// The output cannot be written.
    #[error("cannot write {}", path.display())]
    Output {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program does not start.
    #[error("cannot run {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program failed.
    #[error("{} failed ({status}): {said}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said, without the key.
        said: String,
    },
    /// The caller wanted it to stop.
    #[error("interrupted; nothing was made")]
    Interrupted,
}
