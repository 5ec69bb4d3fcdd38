//! A log in memory, for tests of what writes to one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::disk::tail::{Encoded, encode};
use crate::note::{Checkpoint, LogKey, SignedCheckpoint};
use crate::tree::{Frontier, Hash, SubtreeHashes};
use crate::{Event, Found, Page, Query, Unwritable};

const NAME: &str = "memory.keymoot.audit/0/0000000000000000";

#[derive(Debug)]
pub(crate) struct Memory {
    kept: Mutex<Kept>,
    pub(crate) key: LogKey,
    pub(crate) size: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) events: Vec<Event>,
    pub(crate) bytes: Vec<Bytes>,
    leaves: Vec<Hash>,
    pub(crate) frontier: Frontier,
    pub(crate) fault: Option<Unwritable>,
    /// Why what is appended does not become written.
    pub(crate) stalled: Option<Unwritable>,
}

impl SubtreeHashes for Kept {
    fn subtree(&self, height: u32, index: u64) -> Result<Hash, std::io::Error> {
        let mut frontier = Frontier::default();
        let leaves = usize::try_from(index << height).unwrap_or(usize::MAX)..;
        for leaf in self.leaves.get(leaves).unwrap_or_default().iter().take(1 << height) {
            frontier.push(*leaf);
        }
        Ok(frontier.root())
    }
}

impl Memory {
    #[expect(clippy::expect_used, reason = "for tests; a key takes nothing but randomness and a name")]
    pub(crate) fn new() -> Self {
        let key = LogKey::generate(NAME).expect("a key").0;
        Self { kept: Mutex::default(), key, size: watch::Sender::new(0) }
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn append(&self, event: Event) -> Result<u64, Unwritable> {
        if let Some(fault) = &self.kept().fault {
            return Err(fault.clone());
        }
        self.append_own(event)
    }

    /// The same also where nothing may be granted.
    pub(crate) fn append_own(&self, event: Event) -> Result<u64, Unwritable> {
        let mut kept = self.kept();
        let mut parts = Vec::with_capacity(1);
        encode(event, &mut parts)?;
        for Encoded { bytes, leaf, .. } in parts {
            let part = Event::decode(&bytes).map_err(|error| Unwritable { reason: error.to_string() })?;
            kept.events.push(part);
            kept.bytes.push(bytes.into());
            kept.leaves.push(leaf);
            kept.frontier.push(leaf);
        }
        let size = kept.frontier.size();
        drop(kept);
        self.size.send_replace(size);
        Ok(size - 1)
    }

    #[expect(clippy::expect_used, reason = "for tests; the name is a constant that can stand in a note")]
    pub(crate) fn checkpoint(&self) -> SignedCheckpoint {
        let kept = self.kept();
        let (size, root) = (kept.frontier.size(), kept.frontier.root());
        SignedCheckpoint::sign(Checkpoint { origin: NAME.to_owned(), size, root }, &self.key).expect("a name")
    }

    pub(crate) fn read(&self, from: u64, max: usize) -> Vec<(u64, Bytes)> {
        let kept = self.kept();
        let begin = usize::try_from(from).unwrap_or(usize::MAX);
        (from..).zip(kept.bytes.get(begin..).unwrap_or_default().iter().cloned()).take(max).collect()
    }

    pub(crate) fn search(&self, query: &Query) -> Page {
        let kept = self.kept();
        let all = (0..).zip(kept.events.iter().zip(&kept.bytes));
        let mut found: Vec<_> = all
            .filter(|(number, _)| match (query.cursor, query.newest_first) {
                (Some(cursor), false) => *number >= cursor,
                (Some(cursor), true) => *number <= cursor,
                (None, _) => true,
            })
            .filter(|(_, (event, _))| query.matches(event))
            .map(|(number, (event, bytes))| Found { number, event: event.clone(), bytes: bytes.clone() })
            .collect();
        if query.newest_first {
            found.reverse();
        }
        let rest = found.split_off(found.len().min(query.page_events()));
        Page { events: found, next: rest.first().map(|found| found.number), first_kept: 0 }
    }
}
