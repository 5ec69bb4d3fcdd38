//! The streams of a file, as Shaka Packager lists them: it fails when asked for a stream that the
//! file does not have.

use std::path::Path;
use std::process::{Command, Stdio};

use super::ScrambleError;

/// A stream that can be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) index: u32,
    /// `video` or `audio`.
    pub(super) kind: &'static str,
}

impl Stream {
    pub(super) fn file_name(self) -> String {
        format!("{}-{}.mp4", self.kind, self.index)
    }
}

/// Asks the packager for the file's streams.
pub(super) fn list(program: &Path, input: &Path) -> Result<Vec<Stream>, ScrambleError> {
    let mut descriptor = std::ffi::OsString::from("in=");
    descriptor.push(input);
    let listing = Command::new(program)
        .arg(descriptor)
        .arg("--dump_stream_info")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ScrambleError::Start { program: program.to_owned(), source })?;
    if !listing.status.success() {
        return Err(ScrambleError::Failed {
            program: program.to_owned(),
            status: listing.status,
            said: String::from_utf8_lossy(&listing.stderr).trim().to_owned(),
        });
    }
    let streams = parse(&String::from_utf8_lossy(&listing.stdout));
    if streams.is_empty() { Err(ScrambleError::NoStreams(input.to_owned())) } else { Ok(streams) }
}

/// Reads lines such as `Stream [0] type: Video`.
fn parse(listing: &str) -> Vec<Stream> {
    let stream = |line: &str| {
        let (index, kind) = line.trim().strip_prefix("Stream [")?.split_once("] type: ")?;
        let kind = match kind.trim() {
            "Video" => "video",
            "Audio" => "audio",
            _ => return None,
        };
        Some(Stream { index: index.parse().ok()?, kind })
    };
    listing.lines().filter_map(stream).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_and_audio_are_found_and_text_is_passed_over() {
        let listing = "\nFile \"in.mp4\":\nFound 3 stream(s).\nStream [0] type: Video\n codec: H264\n\
                       Stream [1] type: Text\n\nStream [2] type: Audio\n language: und\n";
        let found: Vec<String> = parse(listing).into_iter().map(Stream::file_name).collect();
        assert_eq!(found, ["video-0.mp4", "audio-2.mp4"]);
        assert!(parse("Stream [x] type: Video\nStream 0").is_empty());
    }
}
