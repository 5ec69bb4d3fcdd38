//! The thread that makes indexes, deletes what is older than the retention, and measures.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::files::{self, FileError};
use crate::segment::{
    Index, IndexBuilder, IndexEntry, SegmentFault, SegmentHeader, SegmentReader, events_path, index_path,
    list,
};
use crate::{Action, Actor, Event, Outcome};

use super::manifest::Manifest;
use super::{DiskLog, Sealed, lock};
use crate::clock::now_ms;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often it deletes.
const DELETE_EVERY: Duration = Duration::from_secs(60);
/// How long a deletion waits until the event that says so is on the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until the log is closed.
pub(super) fn run(log: &DiskLog) {
    let mut deleted: Option<Instant> = None;
    while !log.stopping.load(Ordering::Relaxed) {
        if let Err(error) = log.index() {
            tracing::warn!(
                reason = error.in_words(),
                "an index of the audit log cannot be written: searches read more"
            );
        }
        log.measure();
        let is_full = log.over_budget().is_some();
        if is_full || deleted.is_none_or(|at| at.elapsed() >= DELETE_EVERY) {
            deleted = Some(Instant::now());
            if let Err(error) = log.delete_old() {
                tracing::warn!(reason = error.in_words(), "old events of the audit log cannot be deleted");
            }
            log.measure();
        }
        log.rest(LOOK_EVERY);
    }
}

/// Reads a segment that gets no more events and makes its index. Gives what is to be known of it, and the bytes.
pub(super) fn index_of(log: &Path, header: SegmentHeader) -> Result<(Sealed, Vec<u8>), SegmentFault> {
    let events_bytes = events_path(log, header.first).metadata()?.len();
    let mut reader = SegmentReader::open(log, header, events_bytes)?;
    let mut builder = IndexBuilder::new(header.first);
    let mut sealed = Sealed {
        first: header.first,
        count: 0,
        bytes: events_bytes,
        min_ms: u64::MAX,
        max_ms: 0,
        is_indexed: true,
        index: None,
        blocks: Vec::new(),
    };
    loop {
        let at = reader.position();
        let Some((_, bytes)) = reader.next_event()? else { break };
        let event = Event::decode(&bytes).ok();
        if let Some(event) = &event {
            sealed.min_ms = sealed.min_ms.min(event.time_ms);
            sealed.max_ms = sealed.max_ms.max(event.time_ms);
        }
        builder.add(at.offset, event.as_ref().map(IndexEntry::of).as_ref());
        sealed.count += 1;
    }
    Ok((sealed, builder.finish(events_bytes)))
}

impl DiskLog {
    fn rest(&self, time: Duration) {
        let requests = lock(&self.requests);
        if !requests.stop {
            let _waited = self.wake.wait_timeout_while(requests, time, |requests| !requests.stop);
        }
    }

    /// Makes the indexes that are missing.
    pub(super) fn index(&self) -> Result<(), FileError> {
        let missing: Vec<_> = lock(&self.sealed)
            .iter_mut()
            .filter(|sealed| !sealed.is_indexed)
            // Taken: where it cannot be written, it is made of the segment next time.
            .map(|sealed| Sealed { index: sealed.index.take(), ..sealed.clone() })
            .collect();
        for sealed in missing {
            let failed = |fault: SegmentFault| {
                FileError::new("index", &events_path(&self.dir, sealed.first))(std::io::Error::other(
                    fault.to_string(),
                ))
            };
            let bytes = match sealed.index {
                Some(index) => Arc::unwrap_or_clone(index).finish(sealed.bytes),
                None => {
                    let header = SegmentHeader { first: sealed.first, log_id: self.manifest.log_id() };
                    index_of(&self.dir, header).map_err(failed)?.1
                }
            };
            Index::write(&self.dir, sealed.first, &bytes)?;
            let mut all = lock(&self.sealed);
            if let Some(found) = all.iter_mut().find(|found| found.first == sealed.first) {
                found.is_indexed = true;
                found.blocks = Vec::new();
            }
        }
        Ok(())
    }

    /// Deletes the segments at the beginning of the log in which every event is older than the retention, or, where
    /// room is short, those that all receivers have. Their hashes stay.
    pub(super) fn delete_old(&self) -> Result<(), FileError> {
        let limit = now_ms().saturating_sub(self.settings.retention_ms());
        let shipped = self.deletable_early();
        let sealed = lock(&self.sealed).clone();
        let old = sealed
            .iter()
            .take_while(|sealed| sealed.max_ms < limit || sealed.first + sealed.count <= shipped);
        let old: Vec<_> = old.cloned().collect();
        if let (Some(first), Some(last)) = (old.first(), old.last()) {
            let end = last.first + last.count;
            let why = if last.max_ms < limit { "retention" } else { "shipped" };
            let object = format!("first={} last={}", first.first, end.saturating_sub(1));
            if !self.say_deleted(object, why) {
                return Ok(());
            }
            tracing::info!(
                first = first.first,
                last = end.saturating_sub(1),
                why,
                "events of the audit log are deleted"
            );
            for sealed in &old {
                // Those who read find it gone from the list before it is gone.
                lock(&self.sealed).retain(|kept| kept.first != sealed.first);
                remove_segment(&self.dir, sealed.first)?;
            }
            files::sync_directory(&self.dir.join("segments"))?;
        }
        self.delete_of_ended(limit)
    }

    /// Writes what is about to be deleted, and waits until that is covered by a checkpoint.
    fn say_deleted(&self, object: String, why: &str) -> bool {
        let node = self.manifest.identity.node;
        let mut event = Event::new(node, now_ms(), Action::AUDIT_DELETE, Outcome::Done, Actor::SYSTEM);
        (event.object, event.reason) = (Some(object), Some(why.to_owned()));
        let Ok(number) = self.append_own(event) else { return false };
        self.request_sync(number + 1);
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until && !self.stopping.load(Ordering::Relaxed) {
            if lock(&self.checkpoint).checkpoint().size > number {
                return true;
            }
            self.rest(Duration::from_millis(50));
        }
        false
    }

    /// The same for logs that ended here.
    fn delete_of_ended(&self, limit: u64) -> Result<(), FileError> {
        let Ok(entries) = self.dir.join(super::ENDED).read_dir() else { return Ok(()) };
        for dir in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
            let Ok(Some(manifest)) = Manifest::read(&dir) else { continue };
            let mut old = Vec::new();
            for first in list(&dir)? {
                let header = SegmentHeader { first, log_id: manifest.log_id() };
                let (end, max_ms) = match Index::read(&dir, first)? {
                    Some(index) => (index.first + index.count, index.max_ms),
                    None => match index_of(&dir, header) {
                        Ok((sealed, bytes)) => {
                            Index::write(&dir, first, &bytes)?;
                            (sealed.first + sealed.count, sealed.max_ms)
                        }
                        // Damaged, perhaps why the log ended: it stays until somebody has looked at it.
                        Err(_) => break,
                    },
                };
                if max_ms >= limit {
                    break;
                }
                old.push((first, end));
            }
            let (Some((first, _)), Some((_, end))) = (old.first(), old.last()) else { continue };
            let (origin, last) = (manifest.origin(), end.saturating_sub(1));
            // That log says nothing any more, so this one does.
            if !self.say_deleted(format!("log={origin} first={first} last={last}"), "retention") {
                return Ok(());
            }
            for (first, _) in old {
                remove_segment(&dir, first)?;
            }
            files::sync_directory(&dir.join("segments"))?;
        }
        Ok(())
    }

    /// The number below which events may go although they are not old, because room is short.
    fn deletable_early(&self) -> u64 {
        let is_short = lock(&self.usage).bytes >= self.settings.budget_bytes / 10 * 9;
        if !self.settings.delete_shipped || !is_short {
            return 0;
        }
        lock(&self.acknowledged).values().min().copied().unwrap_or(0)
    }

    /// A receiver has all events below `number`.
    pub(crate) fn acknowledge(&self, receiver: &str, number: u64) {
        lock(&self.acknowledged).insert(receiver.to_owned(), number);
    }
}

fn remove_segment(log: &Path, first: u64) -> Result<(), FileError> {
    for path in [index_path(log, first), events_path(log, first)] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::new("delete", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
