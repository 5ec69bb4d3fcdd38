//! Events that have a number and are not written yet.

use crate::hashes::NewHashes;
use crate::segment::{IndexEntry, write_record};
use crate::tree::{Frontier, Hash, leaf_hash};
use crate::{Event, Unwritable};

use super::{DiskLog, lock};

/// How many bytes may wait to be synced. A disk that does not take them is as good as none.
const UNSYNCED_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Tail {
    pub(super) frontier: Frontier,
    /// The records of the last events.
    pub(super) records: Vec<u8>,
    pub(super) hashes: NewHashes,
    /// What the index has of each record, and how many bytes the record has.
    pub(super) entries: Vec<(usize, IndexEntry)>,
    /// The least and the greatest time of the events in `records`.
    pub(super) times: (u64, u64),
    /// Bytes of records that are not on the disk.
    pub(super) unsynced: usize,
    pub(super) fault: Option<Unwritable>,
}

pub(super) const NO_TIMES: (u64, u64) = (u64::MAX, 0);

impl Tail {
    pub(super) fn new(frontier: Frontier) -> Self {
        let (records, hashes, entries) = (Vec::new(), NewHashes::default(), Vec::new());
        Self { frontier, records, hashes, entries, times: NO_TIMES, unsynced: 0, fault: None }
    }

    fn push(&mut self, event: Encoded) -> u64 {
        let number = self.frontier.size();
        let before = self.records.len();
        write_record(&mut self.records, number, &event.bytes);
        let bytes = self.records.len() - before;
        self.unsynced += bytes;
        let hashes = &mut self.hashes;
        self.frontier.push_with(event.leaf, |height, hash| hashes.take(height, hash));
        self.times = (self.times.0.min(event.time_ms), self.times.1.max(event.time_ms));
        self.entries.push((bytes, event.entry));
        number
    }
}

pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) leaf: Hash,
    time_ms: u64,
    entry: IndexEntry,
}

/// The event as written; several when one would be too long for its many keys.
pub(crate) fn encode(event: Event, to: &mut Vec<Encoded>) -> Result<(), Unwritable> {
    match event.encode() {
        Ok(bytes) => {
            let leaf = leaf_hash(&bytes);
            to.push(Encoded { bytes, leaf, time_ms: event.time_ms, entry: IndexEntry::of(&event) });
            Ok(())
        }
        Err(_) if event.keys.len() > 1 => {
            let mut first = event;
            let keys = first.keys.split_off(first.keys.len() / 2);
            let second = Event { keys, ..first.clone() };
            encode(first, to)?;
            encode(second, to)
        }
        Err(error) => Err(Unwritable { reason: error.to_string() }),
    }
}

impl DiskLog {
    /// Appends an event, and gives its number.
    pub(crate) fn append(&self, event: Event) -> Result<u64, Unwritable> {
        self.append_where(event, false)
    }

    /// Appends an event that says what the log itself does, also where nothing may be granted.
    pub(crate) fn append_own(&self, event: Event) -> Result<u64, Unwritable> {
        self.append_where(event, true)
    }

    fn append_where(&self, event: Event, is_own: bool) -> Result<u64, Unwritable> {
        let mut parts = Vec::with_capacity(1);
        encode(event, &mut parts)?;
        let mut tail = lock(&self.tail);
        if let Some(fault) = tail.fault.as_ref().filter(|_| !is_own) {
            return Err(fault.clone());
        }
        if tail.unsynced > UNSYNCED_BYTES_MAX {
            let mib = tail.unsynced / (1024 * 1024);
            let dir = self.dir.display();
            let reason = format!(
                "{mib} MiB of events wait, because the disk of {dir} does not take them; look at the disk"
            );
            return Err(Unwritable { reason });
        }
        let numbers = parts.into_iter().map(|part| tail.push(part));
        // One part at least.
        Ok(numbers.last().unwrap_or_default())
    }
}
