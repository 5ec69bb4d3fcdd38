//! `keymoot backup schedule`: the cluster takes its backups itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::format_duration;
use serde_json::{Value, json};

use super::args::{BackupScheduleCommand, ScheduleSetArgs, ScheduleShowArgs};
use crate::cli::args::{ConfigArg, OutputFormat};
use crate::cli::operator::{Operator, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_command::Failure;
use keymoot_model::TimeStamp;
use keymoot_service::admin::{Operation, OperationOutcome};
use keymoot_state::{BackupSchedule, Backups, GoodBackup};

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses, or the backups do not go as they should.
pub(super) async fn run(command: BackupScheduleCommand) -> Result<(), Failure> {
    match command {
        BackupScheduleCommand::Set(args) => set(args).await,
        BackupScheduleCommand::Show(args) => show(args).await,
        BackupScheduleCommand::Off(config) => off(config).await,
    }
}

async fn set(args: ScheduleSetArgs) -> Result<(), Failure> {
    let directory = args.directory.to_str().map(str::to_owned);
    let directory = directory.ok_or_else(|| Failure::misuse("--directory must be UTF-8"))?;
    let schedule = BackupSchedule { every_s: args.every.0.as_secs(), keep: args.keep, directory };
    let operator = Operator::new(&args.config)?;
    let outcome = operator.perform(Operation::ScheduleBackups(Some(schedule.clone()))).await?;
    let began = match outcome {
        OperationOutcome::Unchanged => "it was so before",
        _ => "one node takes it, and another when that one is away",
    };
    say(&format!(
        "{}: {began}\n{} must be there on every node that shall take its turn, writable for the user that the node \
         runs as\nkeymoot backup schedule show tells how it goes\n",
        in_words(&schedule),
        schedule.directory
    ));
    Ok(())
}

async fn off(config: ConfigArg) -> Result<(), Failure> {
    let operator = Operator::new(&config)?;
    say(match operator.perform(Operation::ScheduleBackups(None)).await? {
        OperationOutcome::Unchanged => "no backup was scheduled\n",
        _ => "no backup is scheduled any more; those that were taken stay where they are\n",
    });
    Ok(())
}

async fn show(args: ScheduleShowArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let AdminResponse::Backups(backups) = operator.ask(AdminRequest::Backups).await? else {
        return Err(unexpected());
    };
    let now_s = now_s();
    say(&match args.output {
        OutputFormat::Table => table(&backups, now_s),
        OutputFormat::Json => format!("{:#}\n", as_json(&backups, now_s)),
    });
    match fault(&backups, now_s) {
        Some(fault) => Err(Failure::degraded(fault).hint(
            "mend what the last failure says; docs/backup.md has what the directory and the service need",
        )),
        None => Ok(()),
    }
}

/// What is wrong, if anything is.
fn fault(backups: &Backups, now_s: u64) -> Option<String> {
    let schedule = backups.schedule.as_ref()?;
    let turn = &backups.turn;
    let late_s = schedule.every_s.saturating_mul(2);
    match &turn.good {
        _ if turn.failures > 0 => {
            Some(format!("{} attempts at a scheduled backup failed since the last good one", turn.failures))
        }
        Some(good) if now_s > (good.made_at_ms / 1000).saturating_add(late_s) => {
            Some("the scheduled backup is overdue".to_owned())
        }
        _ => None,
    }
}

fn in_words(schedule: &BackupSchedule) -> String {
    let every = format_duration(Duration::from_secs(schedule.every_s));
    format!("a backup every {every} into {}, of which {} are kept", schedule.directory, schedule.keep)
}

fn table(backups: &Backups, now_s: u64) -> String {
    let mut text = match &backups.schedule {
        Some(schedule) => in_words(schedule) + "\n",
        None => "no backup is scheduled: keymoot backup schedule set\n".to_owned(),
    };
    let turn = &backups.turn;
    match &turn.good {
        Some(good) => text.push_str(&format!("last of the schedule  {}\n", good_in_words(good, now_s))),
        None if backups.schedule.is_some() => text.push_str("last of the schedule  none yet\n"),
        None => {}
    }
    match &backups.last_good {
        Some(good) if turn.good.as_ref() != Some(good) => {
            text.push_str(&format!("last by hand          {}\n", good_in_words(good, now_s)));
        }
        Some(_) => {}
        None => text.push_str("no good backup of this cluster is known\n"),
    }
    if turn.under_way.is_some() {
        text.push_str(&format!("under way             on node {}\n", turn.node));
    }
    if let Some(failure) = &turn.last_failure {
        text.push_str(&format!(
            "last failure          {} ago, on node {}: {}\nfailed since          {}\n",
            ago(failure.at_ms, now_s),
            failure.node,
            failure.reason,
            turn.failures
        ));
    }
    text
}

fn good_in_words(good: &GoodBackup, now_s: u64) -> String {
    format!(
        "{} ago, on node {}: {}, {} bytes, as of entry {}",
        ago(good.made_at_ms, now_s),
        good.node,
        good.file,
        good.bytes,
        good.index
    )
}

fn ago(at_ms: u64, now_s: u64) -> String {
    format_duration(Duration::from_secs(now_s.saturating_sub(at_ms / 1000))).to_string()
}

fn as_json(backups: &Backups, now_s: u64) -> Value {
    let time = |at_ms: u64| TimeStamp::from_unix_ms(at_ms).map(|at| at.to_string());
    let good = |good: &GoodBackup| {
        json!({
            "node": good.node,
            "made_at": time(good.made_at_ms),
            "index": good.index,
            "bytes": good.bytes,
            "digest": good.digest,
            "file": good.file,
        })
    };
    let turn = &backups.turn;
    json!({
        "schedule": backups.schedule.as_ref().map(|schedule| json!({
            "every_seconds": schedule.every_s,
            "keep": schedule.keep,
            "directory": schedule.directory,
        })),
        "last_scheduled": turn.good.as_ref().map(good),
        "last_good": backups.last_good.as_ref().map(good),
        "under_way_on": turn.under_way.map(|_| turn.node),
        "failures_since": turn.failures,
        "last_failure": turn.last_failure.as_ref().map(|failure| json!({
            "node": failure.node,
            "at": time(failure.at_ms),
            "reason": failure.reason,
        })),
        "fault": fault(backups, now_s),
    })
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_state::{BackupFailure, BackupTurn};

    fn good(made_at_s: u64) -> GoodBackup {
        let (digest, file) = ("d".to_owned(), "/b/f".to_owned());
        GoodBackup { node: 2, made_at_ms: made_at_s * 1000, index: 7, bytes: 99, digest, file }
    }

    #[test]
    fn what_goes_wrong_is_said_and_what_goes_well_is_no_fault() {
        let schedule = BackupSchedule { every_s: 3600, keep: 3, directory: "/b".into() };
        let turn = BackupTurn { number: 1, node: 2, good: Some(good(1000)), ..BackupTurn::default() };
        let well = Backups { schedule: Some(schedule), turn, last_good: Some(good(1000)) };
        assert_eq!(fault(&well, 1000 + 7200), None);
        assert_eq!(fault(&well, 1000 + 7201).as_deref(), Some("the scheduled backup is overdue"));
        let said = table(&well, 1060);
        assert!(said.contains("a backup every 1h into /b, of which 3 are kept"), "{said}");
        assert!(said.contains("1m ago, on node 2: /b/f, 99 bytes, as of entry 7"), "{said}");
        assert!(!said.contains("by hand"), "{said}");

        let mut ill = well.clone();
        ill.turn.failures = 2;
        ill.turn.last_failure =
            Some(BackupFailure { node: 1, at_ms: 1_030_000, reason: "no room".to_owned() });
        let said = table(&ill, 1060);
        assert!(said.contains("30s ago, on node 1: no room\nfailed since          2"), "{said}");
        assert!(fault(&ill, 1060).unwrap().starts_with("2 attempts"));
        assert_eq!(as_json(&ill, 1060)["last_failure"]["reason"], "no room");

        let off = Backups { schedule: None, ..ill };
        assert_eq!(fault(&off, u64::MAX), None);
        assert!(table(&Backups::default(), 0).contains("no good backup of this cluster is known"));
    }
}
