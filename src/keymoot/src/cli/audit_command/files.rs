//! What is done with the files of a log, without a node: `audit verify --files`, `audit prove`, `audit tiles`.

use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use keymoot_audit::SignedCheckpoint;
use keymoot_audit::offline::{self, ProveError, Report, Trust};
use serde_json::json;

use super::args::{FilesArg, ProveArgs, TilesArgs, VerifyArgs};
use super::event_text::time_text;
use super::verify::keys_in;
use crate::cli::Failure;
use crate::cli::args::OutputFormat;
use crate::cli::operator::say;
use crate::config::Loaded;

/// Verifies every log in a directory.
pub(super) fn verify(dir: &Path, args: &VerifyArgs) -> Result<(), Failure> {
    let keys = args.keys.as_deref().map(keys_in).transpose()?.unwrap_or_default();
    let mut trust = Trust { keys: keys.into_values().collect(), ..Trust::default() };
    for file in &args.checkpoints {
        trust.checkpoints.extend(checkpoints_in(file)?);
    }
    let logs = offline::logs_in(dir).map_err(Failure::usage)?;
    if logs.is_empty() {
        return Err(Failure::misuse(format!("there is no audit log in {}", dir.display())).hint(
            "name the directory `audit` in a node's data directory, or a copy of it, with --files DIR",
        ));
    }
    let mut reports = Vec::with_capacity(logs.len());
    // The newest first: it says what was deleted of those before it.
    for log in &logs {
        let report = offline::verify(log, &trust).map_err(Failure::runtime)?;
        for (origin, below) in &report.deleted_of_others {
            let known = trust.deleted.entry(origin.clone()).or_default();
            *known = below.max(known).to_owned();
        }
        reports.push(report);
    }
    match args.output {
        OutputFormat::Table => reports.iter().for_each(|report| say(&text(report))),
        OutputFormat::Json => say(&format!("{:#}\n", json!({ "logs": reports }))),
    }
    match reports.iter().filter(|report| !report.is_whole()).count() {
        0 => Ok(()),
        1 => Err(Failure::because("an audit log is not what it was")),
        more => Err(Failure::because(format!("{more} audit logs are not what they were"))),
    }
}

/// Writes an event and its proof.
pub(super) fn prove(args: &ProveArgs) -> Result<(), Failure> {
    let proved = offline::prove(&directory(&args.log)?, args.number).map_err(failure)?;
    let mut beside = args.out.clone().into_os_string();
    beside.push(".event");
    let beside = PathBuf::from(beside);
    write(&beside, &proved.event)?;
    write(&args.out, proved.proof.to_string().as_bytes())?;
    let tree = proved.proof.checkpoint.checkpoint();
    let signatures = proved.proof.checkpoint.note().signatures().len().saturating_sub(1);
    say(&format!(
        "event {} of {} is in {}, its proof in {}: under the checkpoint of {} events, cosigned by {signatures}\n",
        args.number,
        tree.origin,
        beside.display(),
        args.out.display(),
        tree.size
    ));
    Ok(())
}

/// Lays a log out as tiles.
pub(super) fn tiles(args: &TilesArgs) -> Result<(), Failure> {
    let log = directory(&args.log)?;
    // What is there stays as it is.
    DirBuilder::new().mode(0o700).create(&args.out).map_err(|error| {
        Failure::because(format!("cannot make {}: {error}", args.out.display()))
            .hint("name a directory that does not exist yet, in one that does, with --out DIR")
    })?;
    let exported = offline::export_tiles(&log, &args.out).map_err(failure)?;
    let kept = match exported.first {
        0 => String::new(),
        first => format!("; events before {first} are deleted, their hashes are there"),
    };
    say(&format!("{} events in {}{kept}\n", exported.events, args.out.display()));
    Ok(())
}

/// The directory of the log that is meant.
fn directory(log: &FilesArg) -> Result<PathBuf, Failure> {
    if let Some(dir) = &log.files {
        return Ok(dir.clone());
    }
    let config = Loaded::load(log.config.config.as_deref()).map_err(Failure::usage)?.config;
    Ok(config.audit.log.dir.unwrap_or_else(|| config.node.data_dir.join("audit")))
}

fn failure(error: ProveError) -> Failure {
    match error {
        ProveError::NotSigned { .. } => Failure::usage(error)
            .hint("a checkpoint is signed each audit.sync_interval_ms; see keymoot audit search for numbers"),
        ProveError::Deleted { .. } => Failure::usage(error),
        _ => Failure::runtime(error),
    }
}

fn checkpoints_in(file: &Path) -> Result<Vec<SignedCheckpoint>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::misuse(format!("cannot read {}: {error}", file.display())))?;
    let read = SignedCheckpoint::parse_all(&text).into_iter().collect::<Result<Vec<_>, _>>();
    read.map_err(|(line, error)| {
        Failure::misuse(format!("{} is no list of checkpoints: line {line}: {error}", file.display()))
            .hint("give the file checkpoints of a log as keymoot audit export writes it")
    })
}

/// Writes a new file for nobody else's eyes.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let opened = File::options().write(true).create_new(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(bytes)).map_err(|error| {
        Failure::because(format!("cannot write {}: {error}", path.display()))
            .hint("name a file that does not exist yet with --out FILE")
    })
}

fn text(report: &Report) -> String {
    let verdict = if report.is_whole() { "whole" } else { "NOT WHOLE" };
    let mut lines = vec![format!("audit log {}: {verdict}", report.origin)];
    lines.push(match report.first_kept {
        0 => format!("  events: {}", report.events),
        first => format!(
            "  events: {}, of which those before {first} were deleted and their hashes are kept",
            report.events
        ),
    });
    lines.push(format!("  signed by the log itself: {} events", report.signed));
    lines.push(match report.seen_by.iter().map(|seen| seen.time_s).max() {
        Some(last) => {
            let by: Vec<_> = report.seen_by.iter().map(|seen| seen.name.as_str()).collect();
            let time = time_text(last.saturating_mul(1000));
            format!("  cosigned: {} events at {time}, by {}", report.cosigned, by.join(", "))
        }
        None => "  cosigned: by nobody whose key was given, so that whoever had the node could have made the log up; \
                 give --keys FILE with keys.txt of keymoot audit export"
            .to_owned(),
    });
    lines.push(format!("  checkpoints that it was held to: {}", report.checkpoints));
    if let Some(before) = &report.predecessor {
        lines.push(format!(
            "  goes on from {} of {} events, because {}",
            before.origin, before.size, before.reason
        ));
    }
    if report.half_written > 0 {
        lines.push(format!("  {} bytes at the end are no whole event yet", report.half_written));
    }
    lines.extend(report.findings.iter().map(|finding| format!("  {finding}")));
    if report.more > 0 {
        lines.push(format!("  and {} more", report.more));
    }
    lines.join("\n") + "\n"
}
