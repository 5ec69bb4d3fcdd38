//! What fuzzers call of the formats on disk, which nothing outside reads.

use bytes::Bytes;

use crate::Query;
use crate::segment::{Index, SegmentFault, SegmentReader};

/// The events of a segment up to where it cannot be read on.
pub fn segment(bytes: &[u8]) -> Vec<(u64, Bytes)> {
    let Ok(mut reader) = SegmentReader::new(bytes, None) else { return Vec::new() };
    let mut events = Vec::new();
    loop {
        let before = reader.position();
        match reader.next_event() {
            Ok(Some(event)) => events.push(event),
            Err(SegmentFault::Damaged { .. }) if reader.position() != before => {}
            Ok(None) | Err(_) => return events,
        }
    }
}

/// Reads an index and looks something up in it. Gives whether it was one.
pub fn index(bytes: &[u8], query: &Query) -> bool {
    let Some(index) = Index::decode(bytes) else { return false };
    for block in index.candidates(query) {
        // As who reads the block does.
        let _end = index.end_of(block);
    }
    index.block_of(index.first);
    true
}
