//! `keymoot scramble`: a file in, an encrypted file out, its key from the cluster.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::args::OutputFormat;
use super::key::{ConnectionArgs, EXIT_CODES, failure};
use super::operator::say;
use super::{Failure, FailureKind};
use keymoot_client::scramble::{Progress, ScrambleError, ScrambleJob, Tool};
use keymoot_client::{FetchedKey, KeySource};
use keymoot_command::StopSignal;
use keymoot_drm::EncryptionProvider;
use keymoot_model::{ContentId, KeyUri, Kid};

/// A key URI and a tool that go not together.
#[derive(Debug, thiserror::Error)]
#[error("--key-uri goes with --tool hls, and only with it")]
struct UsageError;

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
        replace: args.force,
    };
    job.check().map_err(|error| scramble_failure(FailureKind::Usage, error))?;
    let content = content(&args)?;
    let client = args.connection.client()?;
    let source = if args.own_key { KeySource::Own } else { KeySource::Server };
    let created = client.create(&content, source);
    args.connection.tell(&client);
    let (key, _) = created.map_err(failure)?;
    // Until here an interrupt ends the program at once, because there is nothing to clean up.
    let stop = stop_flag()?;
    let mut shown = Shown::new();
    let made = job.run(&key, &mut |progress| shown.show(progress), &|| stop.load(Ordering::Relaxed));
    shown.end();
    let made = made.map_err(|error| scramble_failure(FailureKind::Runtime, error))?;
    say(&match args.output {
        OutputFormat::Table => table(&key.content, key.kid, &made),
        OutputFormat::Json => as_json(&key, &made),
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

fn table(content: &ContentId, kid: Kid, made: &[PathBuf]) -> String {
    let mut text = format!("content   {content}\nkey id    {kid}\n");
    for path in made {
        text.push_str(&format!("made      {}\n", path.display()));
    }
    text
}

fn as_json(key: &FetchedKey, made: &[PathBuf]) -> String {
    let files: Vec<_> = made.iter().map(|path| path.to_string_lossy()).collect();
    let value = json!({
        "content_id": key.content.as_str(),
        "kid": key.kid.to_string(),
        "license_url": key.license_url,
        "files": files,
    });
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
}
