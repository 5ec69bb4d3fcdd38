//! The arguments of `keymoot audit`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use keymoot_audit::{Outcome, Query};
use keymoot_cluster::{AuditSearch, audit_positions};
use keymoot_command::Failure;
use keymoot_model::{AccountId, ContentId, Kid, OperatorName, TimeStamp};

use crate::cli::args::{ConfigArg, NodeConfigArg, OutputFormat};

/// `keymoot audit`.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Say who got a key, what a credential did, and all else that happened, on all nodes.
    Search(SearchArgs),
    /// Show what happened last on all nodes, and go on with what happens.
    Tail(TailArgs),
    /// Say by which digest the audit names a viewer or a device, to search for.
    Digest(DigestArgs),
    /// List the audit logs of the cluster, how far each has grown, and who has cosigned that.
    Logs(LogsArgs),
    /// List the receivers that the nodes send the audit to, what each has acknowledged, and why one gets nothing.
    Receivers(ReceiversArgs),
    /// Check that nobody has changed, removed or added anything: every log against every cosigned checkpoint.
    ///
    /// With --files it needs no node: it verifies the files of a log, on the node or copied from it.
    Verify(VerifyArgs),
    /// Prove to others that an event is in the log: it writes the event, and a proof that any program for C2SP's
    /// tlog-proof checks.
    Prove(ProveArgs),
    /// Lay the log of a node out as tiles, hashes, events and a checkpoint, which any program for C2SP's tlog-tiles
    /// verifies.
    Tiles(TilesArgs),
    /// Copy the logs of all nodes with their keys and cosigned checkpoints, to be verified elsewhere.
    Export(ExportArgs),
}

/// How a search prints what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SearchFormat {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// JSON, for scripts.
    Json,
    /// Comma-separated values, a row for each key, for spreadsheets.
    Csv,
}

/// What events must have. What is not given is not asked.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// Whose keys it is about, or who asked.
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountId>,
    /// The content.
    #[arg(long, value_name = "ID")]
    pub content: Option<ContentId>,
    /// A key: base64, 32 hexadecimal digits, or a GUID.
    #[arg(long, value_name = "KEY-ID", value_parser = Kid::from_any_form)]
    pub key_id: Option<Kid>,
    /// The credential of the account, or the fingerprint of the operator's certificate.
    #[arg(long, value_name = "NAME")]
    pub credential: Option<String>,
    /// The operator who asked.
    #[arg(long, value_name = "NAME")]
    pub by: Option<OperatorName>,
    /// The address that it came from.
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<IpAddr>,
    /// What was asked for, such as key.read; with a dot at its end all that begins so, such as `key.`.
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// What came of it: intended, done, not_found, refused, failed or unknown.
    #[arg(long, value_name = "OUTCOME", value_parser = outcome)]
    pub outcome: Option<Outcome>,
    /// Not before this time, such as 2026-11-22T16:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub from: Option<TimeStamp>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    pub to: Option<TimeStamp>,
    /// The reference that a refusal told.
    #[arg(long, value_name = "REFERENCE")]
    pub reference: Option<String>,
    /// The keyed digest of a viewer or a device.
    #[arg(long, value_name = "DIGEST")]
    pub viewer: Option<String>,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let value = serde_json::Value::String(text.to_owned());
    serde_json::from_value(value)
        .map_err(|_| "it is one of intended, done, not_found, refused, failed and unknown".to_owned())
}

impl FilterArgs {
    /// As nodes are asked for it.
    pub fn query(&self) -> Query {
        let ms = |time: TimeStamp| u64::try_from(time.unix_s()).unwrap_or_default().saturating_mul(1000);
        Query {
            account: self.account.clone(),
            content: self.content.clone(),
            kid: self.key_id,
            credential: self.credential.clone(),
            operator: self.by.as_ref().map(ToString::to_string),
            address: self.address,
            action: self.action.clone(),
            outcome: self.outcome,
            from_ms: self.from.map(ms),
            to_ms: self.to.map(ms),
            reference: self.reference.clone(),
            viewer: self.viewer.clone(),
            ..Query::default()
        }
    }
}

/// `keymoot audit search`.
#[derive(Clone, Debug, Args)]
pub struct SearchArgs {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// The newest first.
    #[arg(long)]
    pub newest_first: bool,
    /// The most events.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// All of them, however many pages that takes.
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    pub all: bool,
    /// The mark that the page before ended with.
    #[arg(long, value_name = "MARK")]
    pub after: Option<String>,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: SearchFormat,
}

impl SearchArgs {
    /// As nodes are asked for it.
    ///
    /// # Errors
    /// When the mark is none.
    pub fn search(&self) -> Result<AuditSearch, Failure> {
        let limit = if self.all { Query::LIMIT_MAX } else { self.limit as usize };
        let query = Query { newest_first: self.newest_first, limit, ..self.filter.query() };
        let positions = audit_positions(self.after.as_deref().unwrap_or_default()).map_err(|_| {
            Failure::misuse("--after is no mark of a page").hint("give it as the page before printed it")
        })?;
        Ok(AuditSearch { query, positions, everywhere: true })
    }
}

/// `keymoot audit tail`.
#[derive(Clone, Debug, Args)]
pub struct TailArgs {
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How many of the last events to begin with.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub lines: u32,
    /// Go on with what happens, until it is interrupted.
    #[arg(long)]
    pub follow: bool,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `keymoot audit digest`.
#[derive(Clone, Debug, Args)]
pub struct DigestArgs {
    /// The account whose viewer or device it is.
    #[arg(long, value_name = "NAME")]
    pub account: AccountId,
    /// The viewer, by the `user_id` of the players, else their `user_token`.
    #[arg(long, value_name = "USER", required_unless_present = "device")]
    pub viewer: Option<String>,
    /// The device, by its `udid`.
    #[arg(long, value_name = "UDID", conflicts_with = "viewer")]
    pub device: Option<String>,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// `keymoot audit logs`.
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `keymoot audit receivers`.
#[derive(Clone, Debug, Args)]
pub struct ReceiversArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// `keymoot audit verify`.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Public keys of logs that were kept elsewhere, a line each, as keymoot audit export writes them to keys.txt: a log
    /// that another key signs by now is then found, whatever the cluster says of it.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Verify the audit log in this directory, the directory `audit` of a node's data or a copy of it, with those that
    /// ended there, or every log in a copy that keymoot audit export wrote; no node is asked. Without --keys each is
    /// believed the key that lies beside it.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "admin", "operator"])]
    pub files: Option<PathBuf>,
    /// With --files: checkpoints that were kept elsewhere, as keymoot audit export writes them. Repeat it for more files.
    #[arg(long, value_name = "FILE", requires = "files")]
    pub checkpoints: Vec<PathBuf>,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// The files of a log.
#[derive(Clone, Debug, Args)]
pub struct FilesArg {
    /// The directory of the log: `audit` in a node's data, `ended/ID` in that, or a copy; without it, the log of the
    /// configured node.
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    #[command(flatten)]
    pub config: NodeConfigArg,
}

/// `keymoot audit prove`.
#[derive(Clone, Debug, Args)]
pub struct ProveArgs {
    /// The number of the event, as a search shows it.
    #[arg(value_name = "NUMBER")]
    pub number: u64,
    /// Where to write the proof; the event goes beside it, into a file with `.event` at its end.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub log: FilesArg,
}

/// `keymoot audit tiles`.
#[derive(Clone, Debug, Args)]
pub struct TilesArgs {
    /// The directory to make.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub log: FilesArg,
}

/// `keymoot audit export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// The directory to make.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}
