//! The backup schedule, whose turn it is, and the last good backup.
//!
//! A node that takes a scheduled backup claims the turn first. The claim names the turn that it follows, so
//! of two nodes that claim at once one gets it. Which node claims, when, and how long it may be silent is
//! decided by the nodes' own clocks; the state only orders the claims.

use serde::{Deserialize, Serialize};

use keymoot_model::NodeId;

use super::layout::{META_BACKUP_GOOD, META_BACKUP_SCHEDULE, META_BACKUP_TURN};
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// How often a backup is taken, how many are kept, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupSchedule {
    pub every_s: u64,
    /// How many backups of the schedule stay in the directory.
    pub keep: u32,
    /// The directory on the node that takes the backup, absolute.
    pub directory: String,
}

impl BackupSchedule {
    /// The shortest and the longest interval, in seconds: ten seconds and a year.
    pub const EVERY_S: std::ops::RangeInclusive<u64> = 10..=366 * 24 * 3600;
    /// How many may be kept.
    pub const KEEP: std::ops::RangeInclusive<u32> = 1..=10_000;
    /// The longest path of a directory or backup, in bytes.
    pub const PATH_BYTES_MAX: usize = 4096;
}

/// A backup that was written, synced and verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoodBackup {
    /// The node whose state it holds.
    pub node: NodeId,
    /// The time of that state: milliseconds since 1970 UTC, by that node's clock.
    pub made_at_ms: u64,
    /// The index of the last entry in it.
    pub index: u64,
    pub bytes: u64,
    /// The digest of the state in it, as a text.
    pub digest: String,
    /// The file's path where it was written.
    pub file: String,
}

/// What became of a scheduled backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupProgress {
    /// The node is at work; the number is another one each time.
    UnderWay(u64),
    Good(GoodBackup),
    /// The node gave up; the text says why.
    Failed(String),
}

/// A failed attempt at a scheduled backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFailure {
    pub node: NodeId,
    /// Milliseconds since 1970 UTC.
    pub at_ms: u64,
    pub reason: String,
}

/// The turns of the schedule: the present or last one, and how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTurn {
    /// The number of the last turn that was claimed; 0 when none was.
    pub number: u64,
    /// The node that claimed it.
    pub node: NodeId,
    /// What the node last said while at work; `None` once the turn has ended.
    pub under_way: Option<u64>,
    /// The last good backup of the schedule.
    pub good: Option<GoodBackup>,
    /// How many attempts failed since.
    pub failures: u32,
    /// The last attempt that failed, before or after the last good one.
    pub last_failure: Option<BackupFailure>,
}

/// Everything that the state knows of backups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backups {
    /// `None` when nothing is scheduled.
    pub schedule: Option<BackupSchedule>,
    pub turn: BackupTurn,
    /// The last good backup, of the schedule or of an operator.
    pub last_good: Option<GoodBackup>,
}

/// Sets the schedule; `None` ends it.
pub(super) fn schedule<T: Tables>(
    run: &mut Transaction<'_, T>,
    schedule: Option<&BackupSchedule>,
) -> Result<Response, StateError> {
    let stored: Option<BackupSchedule> = run.get(Table::Meta, META_BACKUP_SCHEDULE)?;
    if stored.as_ref() == schedule {
        return Ok(Response::Unchanged);
    }
    match schedule {
        Some(schedule) => run.put(Table::Meta, META_BACKUP_SCHEDULE, schedule)?,
        None => run.delete(Table::Meta, META_BACKUP_SCHEDULE)?,
    }
    Ok(Response::Done)
}

/// Gives the turn after turn `after` to `node`, if there is a schedule and nobody else has it.
pub(super) fn claim<T: Tables>(
    run: &mut Transaction<'_, T>,
    node: NodeId,
    after: u64,
) -> Result<Response, StateError> {
    let turn = turn(run)?;
    let scheduled = run.get::<BackupSchedule>(Table::Meta, META_BACKUP_SCHEDULE)?.is_some();
    if turn.number != after || !scheduled {
        return Ok(Response::Unchanged);
    }
    let next = BackupTurn { number: after.saturating_add(1), node, under_way: Some(0), ..turn };
    run.put(Table::Meta, META_BACKUP_TURN, &next)?;
    Ok(Response::Done)
}

/// Notes what became of a turn. Of a turn that another node has taken over, only a good backup counts.
pub(super) fn note<T: Tables>(
    run: &mut Transaction<'_, T>,
    number: u64,
    node: NodeId,
    progress: &BackupProgress,
    now_ms: u64,
) -> Result<Response, StateError> {
    let mut turn = turn(run)?;
    let present = turn.number == number && turn.node == node && turn.under_way.is_some();
    match progress {
        BackupProgress::UnderWay(beat) if present => turn.under_way = Some(*beat),
        BackupProgress::Good(good) => {
            store_good(run, good)?;
            turn.good = Some(good.clone());
            turn.failures = 0;
            if present {
                turn.under_way = None;
            }
        }
        BackupProgress::Failed(reason) if present => {
            turn.under_way = None;
            turn.failures = turn.failures.saturating_add(1);
            turn.last_failure = Some(BackupFailure { node, at_ms: now_ms, reason: reason.clone() });
        }
        BackupProgress::UnderWay(_) | BackupProgress::Failed(_) => return Ok(Response::Unchanged),
    }
    run.put(Table::Meta, META_BACKUP_TURN, &turn)?;
    Ok(Response::Done)
}

/// Stores the last good backup. An older state than the one that is known to be saved changes nothing.
pub(super) fn store_good<T: Tables>(
    run: &mut Transaction<'_, T>,
    good: &GoodBackup,
) -> Result<Response, StateError> {
    let known: Option<GoodBackup> = run.get(Table::Meta, META_BACKUP_GOOD)?;
    if known.is_some_and(|known| known.index > good.index) {
        return Ok(Response::Unchanged);
    }
    run.put(Table::Meta, META_BACKUP_GOOD, good)?;
    Ok(Response::Done)
}

/// The schedule, its turns and the last good backup.
///
/// # Errors
/// When the tables cannot be read.
pub fn backups<T: Tables>(tables: &T) -> Result<Backups, StateError> {
    let run = Transaction::new(tables);
    Ok(Backups {
        schedule: run.get(Table::Meta, META_BACKUP_SCHEDULE)?,
        turn: turn(&run)?,
        last_good: run.get(Table::Meta, META_BACKUP_GOOD)?,
    })
}

fn turn<T: Tables>(run: &Transaction<'_, T>) -> Result<BackupTurn, StateError> {
    Ok(run.get(Table::Meta, META_BACKUP_TURN)?.unwrap_or_default())
}
