//! Why a file was not encrypted. No text holds a key.

use std::io;
use std::path::PathBuf;

use keymoot_drm::ProtectionScheme;

/// Why a file was not encrypted. In every case, no partial output is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScrambleError {
    /// The input cannot be read.
    #[error("cannot read {}", path.display())]
    Input {
        /// The input file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The input is a directory or a device.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Input and output are the same file.
    #[error("{} cannot be encrypted into itself; name another output", .0.display())]
    Same(PathBuf),
    /// The output exists already.
    #[error("{} exists already and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// Shaka Packager reads a comma as the end of a path.
    #[error("{} holds a comma, which Shaka Packager cannot read in a path; rename it, or use FFmpeg", .0.display())]
    Comma(PathBuf),
    /// FFmpeg encrypts in one scheme only.
    #[error("FFmpeg encrypts in cenc only, not in {0}; use Shaka Packager (--tool packager)")]
    Scheme(ProtectionScheme),
    /// The tool encrypts all streams under one key.
    #[error(
        "{0} encrypts all streams under one key; use Shaka Packager (--tool packager) for a key for each"
    )]
    OneKey(&'static str),
    /// The input has no stream to encrypt.
    #[error("{} holds neither video nor audio that the tool knows", .0.display())]
    NoStreams(PathBuf),
    /// The output cannot be written.
    #[error("cannot write {}", path.display())]
    Output {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The tool cannot be started.
    #[error("cannot run {}", program.display())]
    Start {
        /// The tool's program.
        program: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The tool failed.
    #[error("{} failed ({status}): {said}", program.display())]
    Failed {
        /// The tool's program.
        program: PathBuf,
        /// The tool's exit status.
        status: std::process::ExitStatus,
        /// The end of the tool's messages, without the key.
        said: String,
    },
    /// The caller interrupted the run.
    #[error("interrupted; nothing was made")]
    Interrupted,
}
