//! The hashes of single events as they are kept, read in order with a look around.

use std::collections::VecDeque;

use crate::hashes::HashFiles;
use crate::tree::Hash;

/// How far is looked for an event that is not where it should be.
const WINDOW: u64 = 1024;
const AT_ONCE: usize = 4096;

/// Hashes around a place that only moves on.
pub(super) struct Stored<'a> {
    files: &'a HashFiles,
    size: u64,
    /// The number of the first in `near`.
    begin: u64,
    near: VecDeque<Hash>,
}

impl<'a> Stored<'a> {
    pub(super) fn new(files: &'a HashFiles, size: u64) -> Self {
        Self { files, size, begin: 0, near: VecDeque::new() }
    }

    /// How many there are.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// The hash of this event; `None` when it is not kept, or lies before what was looked at.
    pub(super) fn at(&mut self, number: u64) -> Option<Hash> {
        if number >= self.size || number < self.begin {
            return None;
        }
        while number >= self.begin + self.near.len() as u64 {
            let next = self.begin + self.near.len() as u64;
            let count = usize::try_from(self.size - next).unwrap_or(AT_ONCE).min(AT_ONCE);
            let bytes = self.files.read_level(0, next, count).ok()?;
            self.near.extend(bytes.as_chunks::<32>().0.iter().map(|hash| Hash::from_bytes(*hash)));
            let keep_from = number.saturating_sub(WINDOW);
            while self.begin < keep_from && !self.near.is_empty() {
                self.near.pop_front();
                self.begin += 1;
            }
        }
        self.near.get(usize::try_from(number - self.begin).ok()?).copied()
    }

    /// Where this hash is near `number`.
    pub(super) fn find(&mut self, hash: Hash, number: u64) -> Option<u64> {
        let after = (number..number.saturating_add(WINDOW)).find(|other| self.at(*other) == Some(hash));
        after.or_else(|| {
            (number.saturating_sub(WINDOW)..number).rev().find(|other| self.at(*other) == Some(hash))
        })
    }
}
