//! The thread that makes events durable, signs checkpoints, begins new segments, and tries again after a failure.

use std::time::{Duration, Instant};

use crate::Unwritable;
use crate::files::FileError;
use crate::note::{Checkpoint, SignedCheckpoint};
use crate::segment::{Block, events_path};
use crate::settings::Sync;

use super::active::Active;
use super::reserve::{Least, Reserve};
use super::{DiskLog, Durable, checkpoints, lock};
use crate::clock::now_ms;

/// How often it is tried again after a failure.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// After this time a segment gets no more events, so that those of old days can go.
const SEGMENT_LIFE_MS: u64 = 24 * 60 * 60 * 1000;

/// Runs until the log is closed.
pub(super) fn run(log: &DiskLog) {
    let interval = log.settings.sync_interval();
    let mut next = Instant::now() + interval;
    loop {
        let faulty = log.durable.borrow().fault.is_some();
        let until = if faulty { next.min(Instant::now() + RETRY_EVERY) } else { next };
        let stop = log.wait(until, faulty);
        let done = if faulty {
            log.recover()
        } else if stop || Instant::now() >= next {
            log.tick()
        } else {
            log.sync()
        };
        // What failed is noted, and tried again.
        drop(done);
        if Instant::now() >= next {
            next = Instant::now() + interval;
        }
        if stop {
            return log.ended();
        }
    }
}

impl DiskLog {
    /// Asks that this many events become durable.
    pub(crate) fn request_sync(&self, size: u64) {
        let mut requests = lock(&self.requests);
        if requests.sync < size {
            requests.sync = size;
            self.wake.notify_all();
        }
    }

    pub(crate) fn syncs_always(&self) -> bool {
        self.settings.sync == Sync::Always
    }

    /// Waits for something to do, at most until `until`. Gives whether the log is to be closed.
    fn wait(&self, until: Instant, faulty: bool) -> bool {
        let mut requests = lock(&self.requests);
        loop {
            let is_asked = !faulty && (requests.failed || requests.sync > self.durable.borrow().size);
            let left = until.saturating_duration_since(Instant::now());
            if requests.stop || is_asked || left.is_zero() {
                requests.failed = false;
                return requests.stop;
            }
            let waited = self.wake.wait_timeout(requests, left);
            requests = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Makes all events durable that have a number.
    pub(super) fn sync(&self) -> Result<(), Unwritable> {
        let (file, first, end) = {
            let mut active = lock(&self.active);
            self.write_to(&mut active)?;
            self.hand_over_hashes(&mut active);
            (active.file.clone(), active.first, active.readable)
        };
        // Not under the lock: others write meanwhile.
        let synced = file.sync_data();
        let mut active = lock(&self.active);
        if let Err(error) = synced {
            active.is_broken = true;
            let failed = FileError::new("sync", &events_path(&self.dir, first))(error);
            // Still under the lock, so that whoever finds it broken finds why.
            return Err(self.fail(failed.in_words()));
        }
        self.note_synced(&mut active, end);
        Ok(())
    }

    fn note_synced(&self, active: &mut Active, end: Block) {
        active.note_synced(end.offset);
        let mut tail = lock(&self.tail);
        tail.unsynced = active.unsynced.len() + tail.records.len();
        drop(tail);
        self.durable.send_modify(|durable| durable.size = durable.size.max(end.number));
    }

    /// The hashes of all events that are in the segment wait to be written from now on.
    fn hand_over_hashes(&self, active: &mut Active) {
        let mut hashes = lock(&self.hashes);
        hashes.waiting.append(std::mem::take(&mut active.hashes));
        hashes.frontier = active.frontier.clone();
    }

    /// What is done at each interval.
    pub(super) fn tick(&self) -> Result<(), Unwritable> {
        self.sync()?;
        self.sign_and_rotate();
        match self.over_budget().or_else(|| self.hold_back(Least::ToGoOn)) {
            Some(reason) => Err(self.fail(reason)),
            None => Ok(()),
        }
    }

    /// Events are safe without either, so neither stops the node: on a full disk both are done later.
    fn sign_and_rotate(&self) {
        if let Err(error) = self.sign().and_then(|()| self.rotate()) {
            let reason = error.in_words();
            let mut unsigned = lock(&self.unsigned);
            if unsigned.as_ref() != Some(&reason) {
                tracing::warn!(reason, "no checkpoint of the audit log can be signed; it is tried again");
            }
            *unsigned = Some(reason);
        } else {
            *lock(&self.unsigned) = None;
        }
    }

    /// Writes the hashes of what is durable, and signs a checkpoint of it if there is more than at the last one.
    fn sign(&self) -> Result<(), FileError> {
        let (size, root) = {
            let mut hashes = lock(&self.hashes);
            hashes.flush()?;
            hashes.files.sync()?;
            (hashes.in_files, hashes.frontier.root())
        };
        if size == lock(&self.checkpoint).checkpoint().size {
            return Ok(());
        }
        let checkpoint = Checkpoint { origin: self.manifest.origin(), size, root };
        // An origin is made of a cluster's name and numbers, so it can stand in a note.
        let Ok(signed) = SignedCheckpoint::sign(checkpoint, &self.key) else { return Ok(()) };
        checkpoints::write_own(&self.dir, &signed)?;
        *lock(&self.checkpoint) = signed;
        Ok(())
    }

    /// Begins a new segment when this one is large or old.
    fn rotate(&self) -> Result<(), FileError> {
        let mut active = lock(&self.active);
        let is_old = now_ms().saturating_sub(active.opened_ms) >= SEGMENT_LIFE_MS;
        let has_events = active.frontier.size() > active.first;
        if !(has_events && (is_old || active.end() >= self.segment_bytes)) || active.is_broken {
            return Ok(());
        }
        // What came since the last sync.
        let synced = active.file.sync_data();
        if synced.is_err() {
            active.is_broken = true;
        }
        synced.map_err(FileError::new("sync", &events_path(&self.dir, active.first)))?;
        self.hand_over_hashes(&mut active);
        let end = active.readable;
        self.note_synced(&mut active, end);
        let mut next = Active::create(&self.dir, self.manifest.log_id(), active.frontier.clone())?;
        let can_go_on = next.reserve_room(self.settings.held_back_bytes);
        if !can_go_on && std::fs::remove_file(events_path(&self.dir, next.first)).is_ok() {
            // On a full disk this one still has what is held back behind its end.
            return Ok(());
        }
        // Gives up what was held back behind its end; what is left of that is only room.
        let _given_up = active.file.set_len(active.end());
        // Both at once, for those who read.
        let mut sealed = lock(&self.sealed);
        sealed.push(active.sealed());
        *active = next;
        Ok(())
    }

    /// Tries whether events can be written again: all that is not on the disk yet is written anew, and there must be
    /// room to hold back.
    fn recover(&self) -> Result<(), Unwritable> {
        let reason = match self.rewrite() {
            Ok(()) => self.over_budget().or_else(|| self.hold_back(Least::ToBeginAgain)),
            Err(error) => Some(error.in_words()),
        };
        self.sign_and_rotate();
        if let Some(reason) = reason {
            return Err(self.fail(reason));
        }
        lock(&self.tail).fault = None;
        self.durable.send_modify(|durable| durable.fault = None);
        tracing::info!("the audit log can be written again");
        Ok(())
    }

    /// Writes what is not on the disk into the segment, through a file opened anew, and what has a number behind it.
    fn rewrite(&self) -> Result<(), FileError> {
        let mut active = lock(&self.active);
        if active.is_broken {
            active.reopen(&self.dir)?;
            let end = Block { number: active.frontier.size(), offset: active.end() };
            active.readable = end;
            active.is_broken = false;
            self.written.send_replace(end.number);
            self.hand_over_hashes(&mut active);
            self.note_synced(&mut active, end);
        }
        drop(active);
        match self.sync() {
            Ok(()) => Ok(()),
            Err(fault) => {
                let error = std::io::Error::other(fault.reason);
                Err(FileError::new("write", &self.dir)(error))
            }
        }
    }

    fn ended(&self) {
        let closed = Unwritable { reason: "it is being closed".to_owned() };
        lock(&self.tail).fault = Some(closed.clone());
        // What came while the last checkpoint was signed.
        let _last = self.tick();
        self.durable.send_modify(|durable: &mut Durable| {
            durable.fault.get_or_insert(closed);
        });
    }
}

impl super::Hashes {
    /// Writes those that wait into the files.
    pub(super) fn flush(&mut self) -> Result<(), FileError> {
        if !self.waiting.is_empty() {
            self.files.write(self.in_files, &self.waiting)?;
            self.in_files = self.frontier.size();
            self.waiting = crate::hashes::NewHashes::default();
        }
        Ok(())
    }
}

impl Active {
    /// Makes the end of the file anew.
    fn reopen(&mut self, log: &std::path::Path) -> Result<(), FileError> {
        use std::os::unix::fs::FileExt as _;
        let path = events_path(log, self.first);
        let file = crate::files::open_file(&path)?;
        let length = file.metadata().map_err(FileError::new("measure", &path))?.len();
        if length < self.synced_bytes {
            let lost = format!("it has {length} bytes, and {} were on the disk", self.synced_bytes);
            return Err(FileError::new("use", &path)(std::io::Error::other(lost)));
        }
        let written = file
            .set_len(self.synced_bytes)
            .and_then(|()| file.write_all_at(&self.unsynced, self.synced_bytes))
            .and_then(|()| file.sync_all());
        written.map_err(FileError::new("write", &path))?;
        self.file = std::sync::Arc::new(file);
        // Cutting the file gave up what was behind its end.
        self.reserve = Reserve::UpTo(self.end());
        Ok(())
    }
}
