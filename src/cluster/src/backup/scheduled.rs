//! Takes the backups of the schedule, on whichever node has the turn.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use keymoot_crypto::Keyring;
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{BackupProgress, BackupSchedule, Backups, Command, GoodBackup, Response};
use keymoot_telemetry::with_causes;

use crate::members::membership::Members;
use crate::raft::Raft;
use crate::write::clock::now_ms;
use crate::write::command_rights::FACT_BYTES_MAX;
use crate::write::disk::Disk;
use crate::write::forwarder::ProposalForwarder;

use super::error::BackupError;
use super::kept::KeptBackups;
use super::source::{BackupService, BackupSource};
use super::turns::{Step, Turns, step_of};
use super::writer::BackupWriter;

/// How often the node looks whether a backup is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The time limit for telling the cluster something.
const PATIENCE: Duration = Duration::from_secs(3);
/// The time limit for a quorum that confirms what is backed up.
const BARRIER_PATIENCE: Duration = Duration::from_secs(30);
/// How often the result of a backup is told until the cluster has it.
const TELL_TIMES: usize = 20;

/// A task on every node that takes a backup when the schedule and its turn say so.
pub(crate) struct ScheduledBackups {
    pub(crate) node: NodeId,
    pub(crate) raft: Raft,
    pub(crate) members: Arc<Members>,
    pub(crate) forwarder: Arc<ProposalForwarder>,
    pub(crate) service: BackupService,
    pub(crate) disk: Disk,
}

impl ScheduledBackups {
    /// Runs until Raft stops.
    pub(crate) async fn run(self) {
        let mut turns = Turns::new(self.node);
        while self.raft.metrics().borrow_watched().running_state.is_ok() {
            tokio::time::sleep(LOOK_EVERY).await;
            let backups = match state::backups(&self.service.state) {
                Ok(backups) => backups,
                Err(error) => {
                    tracing::debug!(%error, "the backup schedule cannot be read");
                    continue;
                }
            };
            self.measure(&backups);
            self.look(&mut turns, &backups).await;
        }
    }

    fn measure(&self, backups: &Backups) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let metrics = &self.service.metrics;
        metrics
            .backup_schedule_interval_seconds
            .set(gauge(backups.schedule.as_ref().map_or(0, |schedule| schedule.every_s)));
        metrics.backup_failed_attempts.set(backups.turn.failures.into());
        // Below the feature level of the schedule the node knows of its own backups only.
        if let Some(good) = &backups.last_good {
            metrics.backup_last_success_timestamp_seconds.set(gauge(good.made_at_ms / 1000));
            metrics.backup_last_bytes.set(gauge(good.bytes));
        }
    }

    async fn look(&self, turns: &mut Turns, backups: &Backups) {
        // A witness takes none.
        let members = self.members.membership();
        let members = members.nodes().map(|(id, _)| *id).filter(|id| !self.members.is_witness(*id));
        let members: BTreeSet<NodeId> = members.collect();
        match turns.step(backups, &members, (now_ms(), Instant::now())) {
            Step::Wait => {}
            Step::GiveUp { turn } => {
                let reason =
                    "the node was restarted, or the cluster restored, while it took the backup".to_owned();
                self.tell(turn, BackupProgress::Failed(reason)).await;
            }
            Step::Claim { after } => {
                let Some(schedule) = &backups.schedule else { return };
                let claim = Command::ClaimBackup { node: self.node, after };
                if self.propose(claim).await != Some(Response::Done) {
                    return;
                }
                if !self.take(schedule.clone(), after.saturating_add(1)).await {
                    turns.note_failure(Instant::now());
                }
            }
        }
    }

    /// Takes a backup and tells the cluster what became of it; returns whether it is good.
    async fn take(&self, schedule: BackupSchedule, turn: u64) -> bool {
        let beat_every = step_of(&schedule) / 2;
        let kept =
            KeptBackups::of(Path::new(&schedule.directory), (*self.service.directory.identity()).clone());
        let mut work = self.begin(kept, schedule);
        let mut beat = 0_u64;
        let outcome = loop {
            match tokio::time::timeout(beat_every, &mut work).await {
                Ok(outcome) => break outcome.unwrap_or_else(|error| Err(error.to_string())),
                Err(_) => {
                    beat = beat.saturating_add(1);
                    self.tell(turn, BackupProgress::UnderWay(beat)).await;
                }
            }
        };
        let progress = match outcome {
            Ok(good) => {
                tracing::info!(file = good.file, bytes = good.bytes, "the scheduled backup is taken");
                BackupProgress::Good(good)
            }
            Err(mut reason) => {
                tracing::warn!(reason, "the scheduled backup failed");
                reason.truncate(reason.floor_char_boundary(FACT_BYTES_MAX));
                BackupProgress::Failed(reason)
            }
        };
        let is_good = matches!(progress, BackupProgress::Good(_));
        for _ in 0..TELL_TIMES {
            if self.tell(turn, progress.clone()).await {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        is_good
    }

    fn begin(&self, kept: KeptBackups, schedule: BackupSchedule) -> JoinHandle<Result<GoodBackup, String>> {
        let (service, disk) = (self.service.clone(), self.disk.clone());
        let keyring = service.keyring.clone();
        tokio::spawn(async move {
            let deadline = Instant::now() + BARRIER_PATIENCE;
            let begun = BackupSource::begin(&service, false, "the schedule", deadline).await;
            let (source, first) = begun.map_err(|error| error.to_string())?;
            let writing = tokio::task::spawn_blocking(move || {
                write(&kept, &schedule, (&disk, &keyring), source, &first)
            });
            writing.await.map_err(|error| error.to_string())?
        })
    }

    async fn tell(&self, turn: u64, progress: BackupProgress) -> bool {
        let node = self.node;
        self.propose(Command::NoteBackup { turn, node, progress: Box::new(progress) }).await.is_some()
    }

    async fn propose(&self, command: Command) -> Option<Response> {
        match self.forwarder.replicate(vec![command], Instant::now() + PATIENCE).await {
            Ok(mut responses) => responses.pop(),
            Err(error) => {
                tracing::debug!(%error, "the cluster was not told of the scheduled backup");
                None
            }
        }
    }
}

/// Writes and verifies a backup, and removes those beyond the number to keep.
fn write(
    kept: &KeptBackups,
    schedule: &BackupSchedule,
    (disk, keyring): (&Disk, &Keyring),
    source: BackupSource,
    first: &[u8],
) -> Result<GoodBackup, String> {
    let directory = Path::new(&schedule.directory);
    if !directory.is_dir() {
        return Err(format!(
            "there is no directory {0} on this node; make it for the user that the node runs as, as with \
             install -d -m 700 -o keymoot {0}, and let the service write there",
            directory.display()
        ));
    }
    kept.remove_unfinished();
    let path = kept.path(now_ms());
    let mut writer = BackupWriter::begin(&path).map_err(said)?;
    writer.write(first).map_err(said)?;
    for piece in source.into_pieces() {
        if disk.is_read_only() {
            return Err("the disk of the data directory is nearly full: see docs/disks.md".to_owned());
        }
        let piece = piece.map_err(|error| error.to_string())?;
        writer.write(&piece).map_err(said)?;
    }
    let verified = writer.finish(false, Some(keyring)).map_err(said)?;
    if let Err(error) = kept.prune(schedule.keep, &path) {
        tracing::warn!(directory = schedule.directory, %error, "old backups of the schedule were not removed");
    }
    Ok(verified.good(&path))
}

/// The error and its sources.
fn said(error: BackupError) -> String {
    let mut text = with_causes(&error);
    let denied = matches!(&error, BackupError::Write { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem);
    if denied {
        text.push_str("; under systemd, name the directory in ReadWritePaths of the unit");
    }
    text
}
