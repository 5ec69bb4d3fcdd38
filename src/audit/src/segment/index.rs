//! The index of a segment: in which blocks of it there are events with a value.
//!
//! A block is some 64 KiB of whole records. The index holds the blocks' places, and pairs of a value's hash and a
//! block, sorted. A value that many events share takes one pair for each block at most, so the index stays small. It
//! only saves reading: what it points to is looked at, and `keymoot audit verify` makes it anew and compares.
//!
//! ```text
//! KMAUIDX and 1 · first, count, least and greatest time in ms, length of the segment (u64 each) · blocks, pairs (u32)
//! · for each block its offset and its first number less the segment's (u32) · hashes (u32), sorted · blocks of the
//! pairs (u16) · CRC-32 of all before; all in little endian
//! ```

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::file::index_path;
use crate::files::{self, FileError};
use crate::{Event, Outcome, Query};

/// After how many bytes of records the next block begins.
pub(crate) const BLOCK_BYTES: u64 = 64 * 1024;

const MAGIC: [u8; 8] = *b"KMAUIDX\x01";
const HEADER_BYTES: usize = 56;
const BLOCK_ENTRY_BYTES: usize = 8;

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) offset: u64,
}

/// The fields that are indexed. Their numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Field {
    Kid = 1,
    Content = 2,
    Account = 3,
    Credential = 4,
    Operator = 5,
    Address = 6,
    Reference = 7,
    Viewer = 8,
    Action = 9,
    Outcome = 10,
}

/// Most values are shorter, and are hashed without memory of their own.
const SHORT_BYTES: usize = 128;

/// The hash of a value in the index.
fn field_hash(field: u8, value: &[u8]) -> u32 {
    let mut short = [field; SHORT_BYTES];
    let hash = match short.get_mut(1..=value.len()) {
        Some(place) => {
            place.copy_from_slice(value);
            xxh3_64(short.get(..=value.len()).unwrap_or_default())
        }
        None => xxh3_64(&[&[field], value].concat()),
    };
    // Its lower half: another value with the same half costs a look at a block.
    (hash & u64::from(u32::MAX)) as u32
}

/// What an index has of an event.
#[derive(Debug)]
pub(crate) struct IndexEntry {
    time_ms: u64,
    hashes: Vec<u32>,
}

impl IndexEntry {
    pub(crate) fn of(event: &Event) -> Self {
        // A usual event has some ten values.
        let mut hashes = Vec::with_capacity(16);
        of_event(event, |hash| hashes.push(hash));
        Self { time_ms: event.time_ms, hashes }
    }
}

fn of_event(event: &Event, mut add: impl FnMut(u32)) {
    let mut put = |field: Field, value: Option<&str>| {
        if let Some(value) = value {
            add(field_hash(field as u8, value.as_bytes()));
        }
    };
    for key in &event.keys {
        put(Field::Kid, key.kid.map(|kid| kid.to_base64()).as_deref());
        put(Field::Content, key.content.as_ref().map(|content| content.as_str()));
    }
    put(Field::Content, event.content.as_ref().map(|content| content.as_str()));
    put(Field::Account, event.account.as_ref().map(|account| account.as_str()));
    put(Field::Credential, event.actor.credential.as_deref());
    match event.actor.kind {
        crate::ActorKind::Account => put(Field::Account, event.actor.id.as_deref()),
        crate::ActorKind::Operator => put(Field::Operator, event.actor.id.as_deref()),
        _ => {}
    }
    put(Field::Address, event.address.map(|address| address.to_string()).as_deref());
    put(Field::Reference, event.reference.as_deref());
    if let Some(drm) = &event.drm {
        put(Field::Viewer, drm.viewer.as_deref());
        put(Field::Viewer, drm.device.as_deref());
    }
    let action = event.action.as_str();
    put(Field::Action, Some(action));
    // What searches for all actions of a kind look for: each beginning that ends in a dot.
    for (dot, _) in action.match_indices('.') {
        put(Field::Action, action.get(..=dot));
    }
    put(Field::Outcome, Some(outcome_text(event.outcome)));
}

/// An outcome as events write it.
const fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Intended => "intended",
        Outcome::Done => "done",
        Outcome::NotFound => "not_found",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

/// The hashes that events which match a query must have, all of them.
fn of_query(query: &Query) -> Vec<u32> {
    let address = query.address.map(|address| address.to_string());
    let kid = query.kid.map(|kid| kid.to_base64());
    let outcome = query.outcome.map(outcome_text);
    let values = [
        (Field::Kid, kid.as_deref()),
        (Field::Reference, query.reference.as_deref()),
        (Field::Viewer, query.viewer.as_deref()),
        (Field::Content, query.content.as_ref().map(|content| content.as_str())),
        (Field::Credential, query.credential.as_deref()),
        (Field::Operator, query.operator.as_deref()),
        (Field::Address, address.as_deref()),
        (Field::Account, query.account.as_ref().map(|account| account.as_str())),
        (Field::Action, query.action.as_deref()),
        (Field::Outcome, outcome),
    ];
    let hash = |(field, value): (Field, Option<&str>)| Some(field_hash(field as u8, value?.as_bytes()));
    values.into_iter().filter_map(hash).collect()
}

/// Collects the index of a segment.
#[derive(Clone, Debug)]
pub(crate) struct IndexBuilder {
    first: u64,
    count: u64,
    times: (u64, u64),
    blocks: Vec<Block>,
    pairs: Vec<(u32, u16)>,
    /// Where the pairs of the last block begin.
    block_pairs: usize,
}

impl IndexBuilder {
    pub(crate) fn new(first: u64) -> Self {
        let (blocks, pairs) = (Vec::new(), Vec::new());
        Self { first, count: 0, times: (u64::MAX, 0), blocks, pairs, block_pairs: 0 }
    }

    /// Adds the event whose record begins at `offset`. One that cannot be read is in no search.
    pub(crate) fn add(&mut self, offset: u64, event: Option<&IndexEntry>) {
        if self.blocks.last().is_none_or(|block| offset - block.offset >= BLOCK_BYTES) {
            self.close_block();
            self.blocks.push(Block { number: self.first + self.count, offset });
        }
        self.count += 1;
        let Some(event) = event else { return };
        self.times = (self.times.0.min(event.time_ms), self.times.1.max(event.time_ms));
        // A segment has some hundred blocks.
        let block = u16::try_from(self.blocks.len() - 1).unwrap_or(u16::MAX);
        self.pairs.extend(event.hashes.iter().map(|hash| (*hash, block)));
    }

    fn close_block(&mut self) {
        // What many events of a block share is kept once, before it takes memory for all of the segment.
        if let Some(pairs) = self.pairs.get_mut(self.block_pairs..) {
            pairs.sort_unstable();
        }
        let mut tail = self.pairs.split_off(self.block_pairs);
        tail.dedup();
        self.pairs.append(&mut tail);
        self.block_pairs = self.pairs.len();
    }

    /// The bytes of the index of a segment of `events_bytes` bytes.
    pub(crate) fn finish(mut self, events_bytes: u64) -> Vec<u8> {
        self.close_block();
        self.pairs.sort_unstable();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + 8 * self.blocks.len() + 6 * self.pairs.len() + 4);
        bytes.extend_from_slice(&MAGIC);
        for field in [self.first, self.count, self.times.0, self.times.1, events_bytes] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        // Lossless, as are those below: a segment is far smaller than 4 GiB.
        for count in [self.blocks.len(), self.pairs.len()] {
            bytes.extend_from_slice(&(count as u32).to_le_bytes());
        }
        for block in &self.blocks {
            bytes.extend_from_slice(&(block.offset as u32).to_le_bytes());
            bytes.extend_from_slice(&((block.number - self.first) as u32).to_le_bytes());
        }
        self.pairs.iter().for_each(|(hash, _)| bytes.extend_from_slice(&hash.to_le_bytes()));
        self.pairs.iter().for_each(|(_, block)| bytes.extend_from_slice(&block.to_le_bytes()));
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// The index of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) min_ms: u64,
    pub(crate) max_ms: u64,
    pub(crate) events_bytes: u64,
    pub(crate) blocks: Vec<Block>,
    hashes: Vec<u8>,
    pair_blocks: Vec<u8>,
}

impl Index {
    /// Reads the index of a segment; `None` when it is missing, damaged or another one's.
    pub(crate) fn read(log: &Path, first: u64) -> Result<Option<Self>, FileError> {
        let path = index_path(log, first);
        match std::fs::read(&path).map_err(FileError::new("read", &path)) {
            Ok(bytes) => Ok(Self::decode(&bytes).filter(|index| index.first == first)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write(log: &Path, first: u64, bytes: &[u8]) -> Result<(), FileError> {
        files::write_file(&index_path(log, first), bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let rest = body.strip_prefix(&MAGIC)?;
        let (fields, rest) = rest.split_at_checked(HEADER_BYTES - MAGIC.len() - 8)?;
        let mut fields = fields.as_chunks::<8>().0.iter().map(|field| u64::from_le_bytes(*field));
        let mut field = || fields.next();
        let (first, count, min_ms, max_ms, events_bytes) = (field()?, field()?, field()?, field()?, field()?);
        let (counts, rest) = rest.split_at_checked(8)?;
        let mut counts = counts.as_chunks::<4>().0.iter().map(|count| u32::from_le_bytes(*count) as usize);
        let (block_count, pairs) = (counts.next()?, counts.next()?);
        let (blocks, rest) = rest.split_at_checked(block_count.checked_mul(BLOCK_ENTRY_BYTES)?)?;
        let (hashes, pair_blocks) = rest.split_at_checked(pairs.checked_mul(4)?)?;
        if pair_blocks.len() != pairs.checked_mul(2)? {
            return None;
        }
        let blocks = blocks.as_chunks::<8>().0.iter().map(|[a, b, c, d, number @ ..]| {
            let offset = u32::from_le_bytes([*a, *b, *c, *d]).into();
            Some(Block { number: first.checked_add(u32::from_le_bytes(*number).into())?, offset })
        });
        let blocks = blocks.collect::<Option<Vec<_>>>()?;
        let (hashes, pair_blocks) = (hashes.to_vec(), pair_blocks.to_vec());
        Some(Self { first, count, min_ms, max_ms, events_bytes, blocks, hashes, pair_blocks })
    }

    /// The blocks that may hold an event which matches.
    pub(crate) fn candidates(&self, query: &Query) -> Vec<Block> {
        let outside = query.from_ms.is_some_and(|from| self.max_ms < from)
            || query.to_ms.is_some_and(|to| self.min_ms >= to);
        if outside || self.count == 0 {
            return Vec::new();
        }
        let mut found: Option<Vec<u16>> = None;
        for hash in of_query(query) {
            let holding = self.holding(hash);
            found = Some(match found {
                None => holding,
                Some(found) => {
                    found.into_iter().filter(|block| holding.binary_search(block).is_ok()).collect()
                }
            });
        }
        match found {
            None => self.blocks.clone(),
            Some(found) => {
                found.into_iter().filter_map(|at| self.blocks.get(usize::from(at)).copied()).collect()
            }
        }
    }

    fn holding(&self, hash: u32) -> Vec<u16> {
        let (hashes, blocks) = (self.hashes.as_chunks::<4>().0, self.pair_blocks.as_chunks::<2>().0);
        let begin = hashes.partition_point(|found| u32::from_le_bytes(*found) < hash);
        let equal = hashes
            .iter()
            .zip(blocks)
            .skip(begin)
            .take_while(|(found, _)| u32::from_le_bytes(**found) == hash);
        equal.map(|(_, block)| u16::from_le_bytes(*block)).collect()
    }

    /// The block in which the event of this number is.
    pub(crate) fn block_of(&self, number: u64) -> Option<Block> {
        let after = self.blocks.partition_point(|block| block.number <= number);
        self.blocks.get(after.checked_sub(1)?).copied()
    }

    /// Where the block after this one begins, or the segment ends.
    pub(crate) fn end_of(&self, block: Block) -> u64 {
        let next = self.blocks.partition_point(|other| other.number <= block.number);
        self.blocks.get(next).map_or(self.events_bytes, |next| next.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_named_as_events_write_them() {
        let all = [
            Outcome::Intended,
            Outcome::Done,
            Outcome::NotFound,
            Outcome::Refused,
            Outcome::Failed,
            Outcome::Unknown,
        ];
        for outcome in all {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome_text(outcome));
        }
    }

    #[test]
    fn a_value_has_one_hash_whatever_its_length() {
        for length in [0, 1, 126, 127, 128, 129, 300] {
            let value = vec![b'x'; length];
            assert_eq!(
                field_hash(3, &value),
                (xxh3_64(&[&[3], value.as_slice()].concat()) & 0xffff_ffff) as u32
            );
        }
    }
}
