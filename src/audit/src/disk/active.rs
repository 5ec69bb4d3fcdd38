//! The segment that is written to.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::Unwritable;
use crate::files::{self, FileError};
use crate::hashes::NewHashes;
use crate::segment::{BLOCK_BYTES, Block, IndexBuilder, SegmentHeader, events_path};
use crate::tree::Frontier;

use super::reserve::Reserve;
use super::tail::NO_TIMES;
use super::{DiskLog, Sealed, lock};
use crate::clock::now_ms;

#[derive(Debug)]
pub(super) struct Active {
    pub(super) first: u64,
    pub(super) file: Arc<File>,
    /// What of the file is on the disk, in bytes.
    pub(super) synced_bytes: u64,
    /// What comes after that, as far as it has a place in this segment. Kept until it is on the disk, because after a
    /// sync that failed the operating system may have forgotten it.
    pub(super) unsynced: Vec<u8>,
    /// Up to where it can be read: the bytes, and the number after the last event.
    pub(super) readable: Block,
    /// Of all events up to the end of `unsynced`.
    pub(super) frontier: Frontier,
    /// Hashes that the other files do not have yet.
    pub(super) hashes: NewHashes,
    pub(super) blocks: Vec<Block>,
    /// Its index so far; none when it had events before it was opened.
    pub(super) index: Option<IndexBuilder>,
    pub(super) times: (u64, u64),
    pub(super) opened_ms: u64,
    /// Room behind its end that nobody else can take.
    pub(super) reserve: Reserve,
    /// A write or a sync failed. The file is then made anew from `unsynced`.
    pub(super) is_broken: bool,
}

impl Active {
    /// A segment as it is on the disk.
    pub(super) fn new(file: File, first: u64, end: Block, frontier: Frontier) -> Self {
        Self {
            first,
            file: Arc::new(file),
            synced_bytes: end.offset,
            unsynced: Vec::new(),
            readable: end,
            frontier,
            hashes: NewHashes::default(),
            blocks: Vec::new(),
            index: None,
            times: NO_TIMES,
            opened_ms: now_ms(),
            reserve: Reserve::UpTo(end.offset),
            is_broken: false,
        }
    }

    /// A new segment of the log, on the disk.
    pub(super) fn create(log: &Path, log_id: u64, frontier: Frontier) -> Result<Self, FileError> {
        let first = frontier.size();
        let path = events_path(log, first);
        let file = files::open_file(&path)?;
        let header = SegmentHeader { first, log_id }.encode();
        let written =
            file.set_len(0).and_then(|()| file.write_all_at(&header, 0)).and_then(|()| file.sync_all());
        let made = written.map_err(FileError::new("write", &path));
        if let Err(error) = made.and_then(|()| path.parent().map_or(Ok(()), files::sync_directory)) {
            // Events go on behind those before it, so it must not stand there at the next start.
            let _removed = std::fs::remove_file(&path);
            return Err(error);
        }
        let end = Block { number: first, offset: header.len() as u64 };
        Ok(Self { index: Some(IndexBuilder::new(first)), ..Self::new(file, first, end, frontier) })
    }

    /// Where the next record will begin.
    pub(super) fn end(&self) -> u64 {
        // Lossless: a `usize` has at most 64 bits on every supported target.
        self.synced_bytes + self.unsynced.len() as u64
    }

    /// Notes the event that begins here, if a block does.
    pub(super) fn note_block(&mut self, at: Block) {
        if self.blocks.last().is_none_or(|last| at.offset - last.offset >= BLOCK_BYTES) {
            self.blocks.push(at);
        }
    }

    pub(super) fn take_times(&mut self, times: (u64, u64)) {
        self.times = (self.times.0.min(times.0), self.times.1.max(times.1));
    }

    /// All up to `bytes` and `number` is on the disk.
    pub(super) fn note_synced(&mut self, bytes: u64) {
        let synced = usize::try_from(bytes.saturating_sub(self.synced_bytes)).unwrap_or(usize::MAX);
        self.unsynced.drain(..synced.min(self.unsynced.len()));
        self.synced_bytes = self.synced_bytes.max(bytes);
    }

    /// As it is once it gets no more events.
    pub(super) fn sealed(&mut self) -> Sealed {
        Sealed {
            first: self.first,
            count: self.frontier.size() - self.first,
            bytes: self.end(),
            min_ms: self.times.0,
            max_ms: self.times.1,
            is_indexed: false,
            index: self.index.take().map(Arc::new),
            blocks: self.blocks.clone(),
        }
    }
}

impl DiskLog {
    /// Writes all events that have a number. Whoever comes first writes those of all who wait.
    pub(crate) fn write(&self) -> Result<(), Unwritable> {
        let mut active = lock(&self.active);
        self.write_to(&mut active)
    }

    pub(super) fn write_to(&self, active: &mut Active) -> Result<(), Unwritable> {
        if active.is_broken {
            return Err(self.fault());
        }
        let mut tail = lock(&self.tail);
        if tail.records.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut tail.records);
        let hashes = std::mem::take(&mut tail.hashes);
        let entries = std::mem::take(&mut tail.entries);
        let times = std::mem::replace(&mut tail.times, NO_TIMES);
        let before = std::mem::replace(&mut active.frontier, tail.frontier.clone());
        drop(tail);
        let at = active.end();
        active.note_block(Block { number: before.size(), offset: at });
        active.take_times(times);
        if let Some(index) = &mut active.index {
            let mut record_at = at;
            for (bytes, entry) in &entries {
                index.add(record_at, Some(entry));
                // Lossless: a `usize` has at most 64 bits on every supported target.
                record_at += *bytes as u64;
            }
        }
        active.hashes.append(hashes);
        active.unsynced.extend_from_slice(&records);
        match active.file.write_all_at(&records, at) {
            Ok(()) => {
                active.readable = Block { number: active.frontier.size(), offset: active.end() };
                self.written.send_replace(active.readable.number);
                Ok(())
            }
            Err(error) => {
                active.is_broken = true;
                let failed = FileError::new("write", &events_path(&self.dir, active.first))(error);
                Err(self.fail(failed.in_words()))
            }
        }
    }

    /// Notes that nothing can be written, and has it tried again.
    pub(super) fn fail(&self, reason: String) -> Unwritable {
        let fault = Unwritable { reason };
        let is_new = {
            let mut tail = lock(&self.tail);
            let is_new = tail.fault.is_none();
            tail.fault = Some(fault.clone());
            is_new
        };
        self.durable.send_modify(|durable| durable.fault = Some(fault.clone()));
        if is_new {
            tracing::error!(
                reason = fault.reason,
                "the audit log cannot be written: no key is handed out by this node"
            );
        }
        lock(&self.requests).failed = true;
        self.wake.notify_all();
        fault
    }

    /// Why nothing can be written.
    pub(crate) fn fault(&self) -> Unwritable {
        let fault = self.durable.borrow().fault.clone();
        fault.unwrap_or_else(|| Unwritable { reason: "the last write failed".to_owned() })
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        lock(&self.requests).stop = true;
        self.wake.notify_all();
    }
}
