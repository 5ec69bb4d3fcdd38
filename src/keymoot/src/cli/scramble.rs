//! `keymoot scramble`: a file in, an encrypted file out, its key from the cluster.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::args::OutputFormat;
use super::key::{ConnectionArgs, EXIT_CODES, failure};
use super::operator::say;
use super::{Failure, FailureKind};
use keymoot_client::scramble::{Progress, ScrambleError, ScrambleJob, StreamKeys, Tool};
use keymoot_client::{ContentTrack, KeySource};
use keymoot_command::StopSignal;
use keymoot_drm::EncryptionProvider;
use keymoot_model::{ContentId, KeyUri, TrackName};

/// A key URI and a tool that go not together.
#[derive(Debug, thiserror::Error)]
#[error("--key-uri goes with --tool hls, and only with it")]
struct UsageError;

/// A track that a tool has no use for.
#[derive(Debug, thiserror::Error)]
#[error("HLS AES-128 has one key for all streams, of a track of its own; leave --track out")]
struct NoTrack;

/// The track of some streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamTrack {
    kind: Option<StreamKind>,
    track: TrackName,
}

/// A kind of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamKind {
    Video,
    Audio,
}

impl FromStr for StreamTrack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('=') {
            None => (None, text),
            Some(("video", name)) => (Some(StreamKind::Video), name),
            Some(("audio", name)) => (Some(StreamKind::Audio), name),
            Some((other, _)) => {
                return Err(format!("`{other}` is no kind of streams; write NAME, video=NAME or audio=NAME"));
            }
        };
        Ok(Self { kind, track: TrackName::new(name).map_err(|error| error.to_string())? })
    }
}

/// How often progress is shown: at a terminal, and in a log.
const SHOW_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Which program encrypts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ToolName {
    /// FFmpeg: OUT is one MP4 file.
    #[default]
    Ffmpeg,
    /// Shaka Packager: OUT is a directory with one MP4 file per stream and a DASH manifest.
    Packager,
    /// HLS AES-128 by FFmpeg: OUT is a directory with playlist.m3u8 and segments. Players get the key at
    /// --key-uri.
    Hls,
}

/// `keymoot scramble`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
#[command(after_long_help = concat_help())]
pub struct ScrambleArgs {
    /// The media file in the clear.
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// Where the encrypted media goes. Appears whole, or not at all.
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// The content whose key is used; made when it has none. Without it, the name of IN.
    #[arg(long, value_name = "ID")]
    pub content: Option<ContentId>,
    /// Which program encrypts.
    #[arg(long, value_enum, default_value_t)]
    pub tool: ToolName,
    /// With --tool hls: where players get the key, as the playlist says it, absolute or relative. {kid}
    /// in it stands for the key id.
    #[arg(long, value_name = "URI", required_if_eq("tool", "hls"))]
    pub key_uri: Option<KeyUri>,
    /// The track whose key is used; without it, the one that all share who name none. With --tool packager,
    /// video=NAME and audio=NAME give each kind of streams a key of its own. May be repeated.
    #[arg(long = "track", value_name = "[KIND=]NAME")]
    pub tracks: Vec<StreamTrack>,
    /// The program's path, when it is not in the search path as ffmpeg or packager.
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// Make the key here, if the content has none, and offer it to the key server.
    #[arg(long)]
    pub own_key: bool,
    /// Replace OUT.
    #[arg(long)]
    pub force: bool,
    /// How to print what was made. The key is never printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// The key server.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

fn concat_help() -> String {
    format!(
        "The key goes to the tool through a pipe: never on a command line, in an environment or in a file.\n\
         FFmpeg writes no pssh into the file; keymoot key get prints it for the manifest.\n\n{EXIT_CODES}"
    )
}

/// Gets the key and encrypts.
///
/// # Errors
/// [`Failure`] when there is no key, the tool fails or the output would overwrite something.
pub fn run(mut args: ScrambleArgs) -> Result<(), Failure> {
    let tool = match (args.tool, args.key_uri.take()) {
        (ToolName::Hls, Some(uri)) => {
            // Keys that players hold in the clear are apart from those of DRM systems.
            args.connection.provider = EncryptionProvider::Hls;
            Tool::Hls(uri)
        }
        (ToolName::Ffmpeg, None) => Tool::Ffmpeg,
        (ToolName::Packager, None) => Tool::Packager,
        _ => return Err(Failure::usage(UsageError).hint("other tools write no key URI; leave it out")),
    };
    let job = ScrambleJob {
        program: args.program.clone().unwrap_or_else(|| tool.program().into()),
        input: args.input.clone(),
        output: args.out.clone(),
        tool,
        scheme: args.connection.scheme()?,
        replace: args.force,
    };
    job.check().map_err(|error| scramble_failure(FailureKind::Usage, error))?;
    let content = content(&args)?;
    let [video, audio] = tracks(&args)?;
    let client = args.connection.client()?;
    let source = if args.own_key { KeySource::Own } else { KeySource::Server };
    let create = |track: TrackName| client.create(ContentTrack { content: content.clone(), track }, source);
    let both = create(video.clone()).and_then(|(video_key, _)| {
        let audio = Some(audio).filter(|audio| *audio != video).map(create).transpose()?;
        Ok(StreamKeys { video: video_key, audio: audio.map(|(key, _)| key) })
    });
    args.connection.tell(&client);
    let keys = both.map_err(failure)?;
    // Until here an interrupt ends the program at once, because there is nothing to clean up.
    let stop = stop_flag()?;
    let mut shown = Shown::new();
    let made = job.run(&keys, &mut |progress| shown.show(progress), &|| stop.load(Ordering::Relaxed));
    shown.end();
    let made = made.map_err(|error| scramble_failure(FailureKind::Runtime, error))?;
    say(&match args.output {
        OutputFormat::Table => table(&keys, &made),
        OutputFormat::Json => as_json(&keys, &made),
    });
    Ok(())
}

fn content(args: &ScrambleArgs) -> Result<ContentId, Failure> {
    if let Some(content) = &args.content {
        return Ok(content.clone());
    }
    let name = args.input.file_name().unwrap_or_default().to_string_lossy();
    ContentId::new(name).map_err(|error| Failure::usage(error).hint("name the content with --content"))
}

/// The tracks of video and of audio. What is said of a kind goes before what is said of all streams.
fn tracks(args: &ScrambleArgs) -> Result<[TrackName; 2], Failure> {
    if args.tool == ToolName::Hls && !args.tracks.is_empty() {
        return Err(Failure::usage(NoTrack));
    }
    let of = |kind: StreamKind| {
        let said =
            |kind| args.tracks.iter().rev().find(|said| said.kind == kind).map(|said| said.track.clone());
        said(Some(kind)).or_else(|| said(None)).unwrap_or_else(TrackName::default_track)
    };
    Ok([of(StreamKind::Video), of(StreamKind::Audio)])
}

fn scramble_failure(kind: FailureKind, error: ScrambleError) -> Failure {
    match &error {
        ScrambleError::Interrupted => Failure::of_kind(FailureKind::Interrupted, error),
        ScrambleError::Exists(_) => Failure::of_kind(kind, error).hint("--force replaces it"),
        ScrambleError::Start { .. } => Failure::of_kind(kind, error)
            .hint("install it (FFmpeg: the Debian package ffmpeg), or name it with --program"),
        _ => Failure::of_kind(kind, error),
    }
}

/// Set once somebody wants an end.
fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::runtime)?;
    let mut signal = {
        let _inside = runtime.enter();
        StopSignal::listen()?
    };
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    let listen = move || {
        runtime.block_on(signal.wait());
        raised.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new().name("keymoot-stop".into()).spawn(listen).map_err(Failure::runtime)?;
    Ok(flag)
}

/// Progress on standard error: a line that is written over at a terminal, lines now and then in a log.
struct Shown {
    terminal: bool,
    next: Instant,
    line_open: bool,
}

impl Shown {
    fn new() -> Self {
        let terminal = stderr().is_terminal();
        Self { terminal, next: Instant::now() + Self::every(terminal), line_open: false }
    }

    fn every(terminal: bool) -> Duration {
        if terminal { SHOW_EVERY.0 } else { SHOW_EVERY.1 }
    }

    fn show(&mut self, progress: Progress) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + Self::every(self.terminal);
        let text = progress_text(progress);
        if self.terminal {
            eprint!("\r{text}   ");
            // What is not shown is no loss.
            let _ = stderr().flush();
            self.line_open = true;
        } else {
            eprintln!("{text}");
        }
    }

    fn end(&self) {
        if self.line_open {
            eprintln!();
        }
    }
}

fn progress_text(Progress { written, input }: Progress) -> String {
    let mb = |bytes: u64| bytes as f64 / 1_000_000.0;
    // The encrypted file may come out a little larger.
    let percent = written.saturating_mul(100).checked_div(input).unwrap_or(0).min(100);
    format!("encrypting: {:.1} of about {:.1} MB, {percent} %", mb(written), mb(input))
}

fn table(keys: &StreamKeys, made: &[PathBuf]) -> String {
    let mut text = format!("content   {}\nkey id    {}\n", keys.video.of.content, keys.video.kid);
    if let Some(audio) = &keys.audio {
        text.push_str(&format!("audio     {}\n", audio.kid));
    }
    for path in made {
        text.push_str(&format!("made      {}\n", path.display()));
    }
    text
}

fn as_json(keys: &StreamKeys, made: &[PathBuf]) -> String {
    let key = &keys.video;
    let files: Vec<_> = made.iter().map(|path| path.to_string_lossy()).collect();
    let mut value = json!({
        "content_id": key.of.content.as_str(),
        "kid": key.kid.to_string(),
        "license_url": key.license_url,
        "files": files,
    });
    if let (Some(audio), Some(members)) = (&keys.audio, value.as_object_mut()) {
        members.insert("audio_kid".to_owned(), audio.kid.to_string().into());
    }
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_passes_a_hundred_and_an_empty_input_is_no_fault() {
        let text = |written, input| progress_text(Progress { written, input });
        assert_eq!(text(1_500_000, 3_000_000), "encrypting: 1.5 of about 3.0 MB, 50 %");
        assert!(text(5, 4).ends_with(" 100 %") && text(5, 0).ends_with(" 0 %"));
    }

    #[test]
    fn a_track_is_for_all_streams_or_for_a_kind_of_them() {
        let read = |text: &str| text.parse::<StreamTrack>();
        let track = |kind, name| StreamTrack { kind, track: TrackName::new(name).unwrap() };
        assert_eq!(read("HD"), Ok(track(None, "HD")));
        assert_eq!(read("video=HD"), Ok(track(Some(StreamKind::Video), "HD")));
        assert_eq!(read("audio=AUDIO"), Ok(track(Some(StreamKind::Audio), "AUDIO")));
        assert!(read("text=X").unwrap_err().contains("video=NAME") && read("video=").is_err());
    }
}
