//! `keymoot key`: what a scrambler asks of a key server, by hand or from a script.

mod connection;
mod credentials;
mod export;
mod import;
mod import_file;
mod manifest;
mod print;
mod print_periods;
mod schedule;

use clap::{Args, Subcommand, ValueEnum};

use super::Failure;
use super::args::OutputFormat;
use super::operator::say;
use super::time_span::TimeSpan;
use keymoot_client::{ClientError, ContentTrack, FetchedKey, KeyClient, KeySource};
use keymoot_model::{ContentId, Period, TrackName};

pub(super) use connection::{ConnectionArgs, failure};
use manifest::{LaurlStyle, ManifestOf};

/// How the commands end, for `--help`.
pub(super) const EXIT_CODES: &str = "Exit codes:
  0    done
  1    refused, or failed
  2    no service point answered
  64   a mistake in usage; nothing was asked
  130  interrupted";

/// `keymoot key`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Get a content's key. Makes none.
    #[command(after_help = EXIT_CODES)]
    Get(KeyArgs),
    /// Get a content's key, which is made when there is none.
    #[command(after_help = EXIT_CODES)]
    Create(CreateArgs),
    /// Give a content a new key, or a live stream new keys for its crypto periods. Media under the old one stays licensable.
    #[command(after_help = EXIT_CODES)]
    Rotate(RotateArgs),
    /// Show the keys of a live stream's crypto periods: which key holds when.
    #[command(after_help = EXIT_CODES)]
    Schedule(schedule::ScheduleArgs),
    /// Delete a content's key with all its versions. Media under them can be licensed no more.
    #[command(after_help = EXIT_CODES)]
    Delete(DeleteArgs),
    /// Make or bring along the keys of many contents, from a file with one JSON object on each line.
    /// What became of each is printed likewise.
    #[command(after_help = EXIT_CODES)]
    Import(import::ImportArgs),
    /// Write the account's stored keys to a file, each sealed for a recipient.
    #[command(after_help = EXIT_CODES)]
    Export(export::ExportArgs),
    /// Make a key pair that keys are exported for: the private key to a file, the public one to
    /// standard output.
    Recipient(export::RecipientArgs),
}

/// Which content, and how its key is printed.
#[derive(Clone, Debug, Args)]
pub struct KeyArgs {
    /// The content's name.
    #[arg(value_name = "CONTENT")]
    pub content: ContentId,
    /// The track whose key is meant; without it, the one that all share who name none.
    #[arg(long, value_name = "NAME", default_value_t = TrackName::default_track(), hide_default_value = true)]
    pub track: TrackName,
    /// Print the key itself in the table. JSON always has it.
    #[arg(long)]
    pub show_key: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: KeyOutput,
    /// With --output dash: which elements name the license URLs, one for each --server unless the account has a URL of
    /// its own.
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub laurl: LaurlStyle,
    /// With --output dash: name Clear Key, too.
    #[arg(long)]
    pub clear_key: bool,
    /// The key server.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// How a key is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum KeyOutput {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// JSON, for scripts.
    Json,
    /// ContentProtection elements for a DASH manifest. They never hold the key.
    Dash,
    /// EXT-X-KEY lines for an HLS playlist. They never hold the key.
    Hls,
}

impl KeyArgs {
    fn of(&self) -> ContentTrack {
        ContentTrack { content: self.content.clone(), track: self.track.clone() }
    }

    /// Where players ask for licenses: what the key server says, and where that is one of the service points, the
    /// same at each of them.
    fn license_urls(&self, key: &FetchedKey) -> Vec<String> {
        let Some(url) = &key.license_url else { return Vec::new() };
        let points: Vec<String> = self.connection.servers.iter().map(ToString::to_string).collect();
        let points: Vec<&str> = points.iter().map(|point| point.trim_end_matches('/')).collect();
        match points.iter().find_map(|point| url.strip_prefix(*point)).filter(|path| path.starts_with('/')) {
            Some(path) => points.iter().map(|point| format!("{point}{path}")).collect(),
            None => vec![url.clone()],
        }
    }
}

/// `keymoot key create`.
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// Make key and key id here and offer them to the key server. A key that is there already wins.
    #[arg(long)]
    pub own_key: bool,
    /// What all key commands take.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// `keymoot key rotate`.
#[derive(Clone, Debug, Args)]
pub struct RotateArgs {
    /// Let the key server make the new key. Without this it is made here, because a request that
    /// names its key can be repeated at another service point without rotating twice.
    #[arg(long)]
    pub server_key: bool,
    /// The length of the crypto periods that get new keys, in place of the content's one key. All of
    /// them get new keys, made by the key server, unless --index names one.
    #[arg(long, value_name = "TIME")]
    pub period: Option<TimeSpan>,
    /// The one crypto period that gets a new key, made here.
    #[arg(long, value_name = "INDEX", requires = "period", conflicts_with = "server_key")]
    pub index: Option<u32>,
    /// When the crypto period of index 0 starts: RFC 3339 or Unix seconds. 1970 if left out.
    #[arg(long, value_name = "TIME", requires = "index")]
    pub epoch: Option<schedule::Instant>,
    /// What all key commands take.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// `keymoot key delete`.
#[derive(Clone, Debug, Args)]
pub struct DeleteArgs {
    /// The content's name.
    #[arg(value_name = "CONTENT")]
    pub content: ContentId,
    /// The track whose key is deleted; without it, the one that all share who name none.
    #[arg(long, value_name = "NAME", default_value_t = TrackName::default_track(), hide_default_value = true)]
    pub track: TrackName,
    /// How to print what was done.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// The key server.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the key server refuses, or none answers.
pub fn run(command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Get(args) => print_key(&args, |client| client.fetch(args.of()).map(|(key, _)| key)),
        KeyCommand::Create(CreateArgs { own_key, key: args }) => {
            let source = if own_key { KeySource::Own } else { KeySource::Server };
            print_key(&args, |client| client.create(args.of(), source).map(|(key, _)| key))
        }
        KeyCommand::Rotate(args) => rotate(&args),
        KeyCommand::Schedule(args) => schedule::run(&args),
        KeyCommand::Delete(args) => {
            let client = args.connection.client()?;
            let of = ContentTrack { content: args.content.clone(), track: args.track.clone() };
            let versions = client.delete(of);
            args.connection.tell(&client);
            say(&print::deleted(args.output, &args.content, versions.map_err(failure)?));
            Ok(())
        }
        KeyCommand::Import(args) => import::run(&args),
        KeyCommand::Export(args) => export::run(&args),
        KeyCommand::Recipient(args) => export::make_recipient(&args),
    }
}

fn rotate(rotate: &RotateArgs) -> Result<(), Failure> {
    let args = &rotate.key;
    let Some(period) = rotate.period else {
        let source = if rotate.server_key { KeySource::Server } else { KeySource::Own };
        return print_key(args, |client| client.rotate(args.of(), source));
    };
    let length_s = schedule::length_s(period)?;
    let output = match args.output {
        KeyOutput::Table => OutputFormat::Table,
        KeyOutput::Json => OutputFormat::Json,
        KeyOutput::Dash | KeyOutput::Hls => {
            return Err(Failure::usage(NoManifest).hint("leave --period out, or print table or json"));
        }
    };
    let track = &args.track;
    let epoch = rotate.epoch.map(schedule::Instant::fixed).transpose()?;
    let client = args.connection.client()?;
    let Some(index) = rotate.index else {
        let version = client.replace_periods(&args.content, track, length_s);
        args.connection.tell(&client);
        let version = version.map_err(failure)?;
        say(&print_periods::replaced(output, (&args.content, track), length_s, version));
        return Ok(());
    };
    let key = client.supply_period(&args.content, track, Period { length_s, index }, epoch);
    args.connection.tell(&client);
    let keys = [key.map_err(failure)?];
    say(&match output {
        OutputFormat::Table => print_periods::table(&args.content, track, &keys, args.show_key),
        OutputFormat::Json => print_periods::json(&args.content, track, &keys),
    });
    Ok(())
}

fn print_key(
    args: &KeyArgs,
    ask: impl FnOnce(&KeyClient) -> Result<FetchedKey, ClientError>,
) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let answer = ask(&client);
    args.connection.tell(&client);
    let key = answer.map_err(failure)?;
    let license_urls = args.license_urls(&key);
    let (provider, scheme) = (args.connection.provider, args.connection.scheme()?);
    let of = ManifestOf { key: &key, provider, scheme, license_urls: &license_urls };
    match args.output {
        KeyOutput::Table => say(&print::table(&key, args.show_key)),
        KeyOutput::Json => say(&print::json(&key)),
        KeyOutput::Dash => say(&manifest::dash(&of, args.laurl, args.clear_key)?),
        KeyOutput::Hls => say(&manifest::hls(&of)?),
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("the keys of crypto periods are printed for no manifest")]
struct NoManifest;
