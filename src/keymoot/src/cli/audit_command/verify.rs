//! `keymoot audit verify`: every log of the cluster against every checkpoint that is known of it.
//!
//! What nodes say is believed as far as it is signed: the notes are verified here, and the events are hashed here.

use std::collections::BTreeMap;
use std::path::Path;

use keymoot_audit::VerifierKey;
use keymoot_audit::offline::Finding;
use keymoot_cluster::{AdminRequest, AdminResponse, AuditLogs, EventsPage, EventsQuery, HeldLog, KnownLog};
use serde_json::json;

use super::args::VerifyArgs;
use super::event_text::time_text;
use super::log_check::{self, LogFault};
use super::logs::{logs_of, nodes, unknown, without_quorum};
use crate::cli::Failure;
use crate::cli::args::OutputFormat;
use crate::cli::operator::{Operator, say, unexpected};

/// How many events are asked for at once.
const EVENTS_AT_ONCE: u32 = 10_000;

/// What is known of a log after it was checked.
pub(super) struct Checked<'a> {
    pub(super) log: &'a KnownLog,
    /// How many events it has, if they were read.
    pub(super) events: Option<u64>,
    pub(super) first_kept: u64,
    /// How many checkpoints its events fit.
    pub(super) checkpoints: usize,
    pub(super) faults: Vec<LogFault>,
    /// Why its events were not read, or not all of them.
    pub(super) unread: Option<String>,
}

/// Runs the command.
pub(super) async fn run(args: VerifyArgs) -> Result<(), Failure> {
    let kept = args.keys.as_deref().map(keys_in).transpose()?.unwrap_or_default();
    let operator = Operator::new(&args.config)?;
    let logs = logs_of(&operator).await?;
    if logs.logs.is_empty() {
        return Err(Failure::degraded("the cluster knows no audit log yet, so there is nothing to verify").hint(
            "nodes register theirs within seconds of their start, in a cluster of feature level 4: see keymoot cluster \
             status, and keymoot cluster upgrade",
        ));
    }
    // Of each log the key that was kept, where one was.
    let known = logs.logs.iter().filter_map(|log| log.key.parse::<VerifierKey>().ok());
    let cosigners: Vec<VerifierKey> =
        known.map(|known| kept.get(known.name()).cloned().unwrap_or(known)).collect();
    let mut all = Vec::new();
    for log in &logs.logs {
        let mut checked = check(&operator, log, &cosigners).await;
        checked.faults.extend(other_key(log, &kept));
        checked.faults.extend(ended_before(log, &logs));
        all.push(checked);
    }
    print(&all, without_quorum(&logs), args.output);
    unknown(&logs).for_each(|warning| eprintln!("keymoot: warning: {warning}"));
    match verdict(&all) {
        Ok(()) if !logs.unknown.is_empty() => {
            let nodes: Vec<_> = logs.unknown.keys().map(ToString::to_string).collect();
            Err(Failure::degraded(format!("could not be looked at: the audit of node {}", nodes.join(",")))
                .hint("start these nodes: they register their logs within seconds"))
        }
        verdict => verdict,
    }
}

/// Prints what was found, and since when nothing is cosigned.
pub(super) fn print(all: &[Checked<'_>], not_cosigned: Option<String>, output: OutputFormat) {
    match output {
        OutputFormat::Table => {
            all.iter().for_each(|checked| say(&text(checked)));
            if let Some(warning) = not_cosigned {
                eprintln!("keymoot: warning: {warning}");
            }
        }
        OutputFormat::Json => {
            let each: Vec<_> = all.iter().map(as_json).collect();
            say(&format!("{:#}\n", json!({ "logs": each, "not_cosigned": not_cosigned })));
        }
    }
}

/// Reads a log from its node, event by event, and holds it against its checkpoints.
async fn check<'a>(operator: &Operator, log: &'a KnownLog, cosigners: &[VerifierKey]) -> Checked<'a> {
    let (begun, faults) = log_check::begin(log, cosigners);
    let unread = log.not_held.clone();
    let mut checked = Checked { log, events: None, first_kept: 0, checkpoints: 0, faults, unread };
    let Some(mut check) = begun else { return checked };
    let Some(held) = &log.held else {
        // Its checkpoints are looked at all the same.
        checked.find(check.findings());
        return checked;
    };
    // What is written meanwhile was not in anything that is to be checked.
    while check.next() < held.size {
        let page = match events(operator, held, check.next()).await {
            Ok(page) => page,
            // It hides none of the others.
            Err(failure) => {
                checked.find(check.findings());
                checked.unread = Some(failure.message().to_owned());
                return checked;
            }
        };
        checked.first_kept = page.first_kept;
        if page.from != check.next() && !check.skip_to(page.from, page.frontier) {
            checked.faults.push(LogFault::Gap { wanted: check.next(), found: page.from });
        }
        // A damaged or lying node may not be asked for ever.
        if page.events.is_empty() || check.next() != page.from {
            break;
        }
        page.events.iter().for_each(|event| check.push(event.as_bytes()));
    }
    checked.events = Some(check.next());
    (checked.checkpoints, checked.faults) = log_check::end(check, checked.faults);
    checked
}

impl Checked<'_> {
    fn find(&mut self, findings: &[Finding]) {
        self.faults.extend(findings.iter().cloned().map(LogFault::Found));
    }
}

/// Events of a log from the node that has it, which the asked node asks for it.
pub(super) async fn events(operator: &Operator, held: &HeldLog, from: u64) -> Result<EventsPage, Failure> {
    let HeldLog { name, at, .. } = *held;
    let request = AdminRequest::AuditEvents(EventsQuery { name, at, from, events_max: EVENTS_AT_ONCE });
    match operator.ask_through(at, request).await? {
        AdminResponse::AuditEvents(page) => Ok(*page),
        _ => Err(unexpected()),
    }
}

/// The keys in a file, by the logs' origins.
pub(super) fn keys_in(file: &Path) -> Result<BTreeMap<String, VerifierKey>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::misuse(format!("cannot read {}: {error}", file.display())))?;
    let mut keys = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let key: VerifierKey = line.trim().parse().map_err(|error| {
            Failure::misuse(format!("{} is no list of keys: line {number}: {error}", file.display()))
                .hint("give keys.txt as keymoot audit export writes it: a key of the form NAME+HASH+KEY on each line")
        })?;
        keys.insert(key.name().to_owned(), key);
    }
    Ok(keys)
}

fn other_key(log: &KnownLog, kept: &BTreeMap<String, VerifierKey>) -> Option<LogFault> {
    let kept = kept.get(&log.origin)?.to_string();
    (kept != log.key).then(|| LogFault::Key { kept, found: log.key.clone() })
}

/// Whether the log that follows this one leaves events of it out.
fn ended_before(log: &KnownLog, all: &AuditLogs) -> Option<LogFault> {
    let follower =
        all.logs.iter().find(|other| other.before.is_some_and(|before| before.name == log.name))?;
    let (said, known) = (follower.before?.size, log.known_size());
    (said < known).then_some(LogFault::EndedBefore { said, known })
}

fn text(checked: &Checked<'_>) -> String {
    let Checked { log, events, first_kept, checkpoints, faults, unread } = checked;
    let word = match (faults.is_empty(), events) {
        (false, _) => "BROKEN",
        (true, Some(_)) => "whole",
        (true, None) => "not here",
    };
    let mut text = format!("{word}: audit log {}", log.name);
    match (events, unread) {
        (Some(events), _) => {
            text.push_str(&format!(", {events} events, which fit {checkpoints} checkpoints"))
        }
        (None, Some(why)) => text.push_str(&format!(
            ", {} events by its last checkpoint, which could not be looked at: {why}",
            log.known_size()
        )),
        (None, None) => {}
    }
    text.push('\n');
    if *first_kept > 0 {
        text.push_str(&format!(
            "  events before {first_kept} were deleted after their time; their hashes fit\n"
        ));
    }
    for fault in faults {
        text.push_str(&format!("  {fault}\n"));
    }
    match log.last_cosigned() {
        Some(last) => {
            let when = last.cosigned_by.values().max().copied().unwrap_or_default();
            let (size, by) = (last.size, nodes(&last.cosigned_by));
            let left = events.unwrap_or_else(|| log.known_size()).saturating_sub(size);
            text.push_str(&format!("  node {by} cosigned {size} events at {}", time_text(when * 1000)));
            let more = if left > 0 {
                format!("; for {left} events since, only its own word stands")
            } else {
                String::new()
            };
            text.push_str(&format!("{more}\n"));
        }
        None => text.push_str("  no other node has cosigned it: for all of it, only its own word stands\n"),
    }
    text
}

fn as_json(checked: &Checked<'_>) -> serde_json::Value {
    let Checked { log, events, first_kept, checkpoints, faults, unread } = checked;
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    json!({
        "log": log.name,
        "origin": log.origin,
        "whole": events.map(|_| faults.is_empty()),
        "faults": faults,
        "events": events,
        "first_kept": first_kept,
        "checkpoints_checked": checkpoints,
        "known_events": log.known_size(),
        "cosigned_events": log.last_cosigned().map(|last| last.size),
        "cosigned_by": log.last_cosigned().map(|last| &last.cosigned_by),
        "not_read": unread,
    })
}

pub(super) fn verdict(all: &[Checked<'_>]) -> Result<(), Failure> {
    let broken: Vec<String> = all
        .iter()
        .filter(|checked| !checked.faults.is_empty())
        .map(|checked| checked.log.name.to_string())
        .collect();
    if !broken.is_empty() {
        return Err(Failure::because(format!("not what it was: audit log {}", broken.join(", "))).hint(
            "take the node whose log it is for taken over, keep its disk as it is, and compare with copies that were \
             exported or shipped before: docs/audit.md",
        ));
    }
    let unread: Vec<String> = all
        .iter()
        .filter(|checked| checked.events.is_none() && checked.log.known_size() > 0)
        .map(|checked| checked.log.name.to_string())
        .collect();
    if !unread.is_empty() {
        return Err(Failure::degraded(format!("could not be looked at: audit log {}", unread.join(", ")))
            .hint(
                "start the node that has it, or verify a copy of it; what was cosigned of it stays on record",
            ));
    }
    Ok(())
}
