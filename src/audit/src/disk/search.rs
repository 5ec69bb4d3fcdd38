//! Searching a log: block by block, with the indexes where there are some, in bounded memory.

use memchr::memmem::Finder;

use crate::segment::{Block, Index, SegmentFault, SegmentReader, events_path};
use crate::{Event, Found, Page, Query, ReadError};

use super::reading::{READ_BYTES_MAX, Readable, Segments};

/// How many bytes are looked at for one page at most. Then the page says where the next one begins.
const LOOK_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A page as it is filled.
struct Filling<'a> {
    query: &'a Query,
    texts: Vec<Finder<'a>>,
    page: Page,
    found_bytes: usize,
    looked_at: u64,
}

impl Segments<'_> {
    /// A page of the events that match.
    pub(crate) fn search(&self, query: &Query) -> Result<Page, ReadError> {
        let texts = query.texts();
        let mut filling = Filling {
            query,
            texts: texts.iter().map(Finder::new).collect(),
            page: Page { first_kept: self.first_kept(), ..Page::default() },
            found_bytes: 0,
            looked_at: 0,
        };
        let mut segments: Vec<&Readable> = self.all.iter().collect();
        if query.newest_first {
            segments.reverse();
        }
        for segment in segments {
            match self.search_segment(segment, &mut filling) {
                // Deleted meanwhile.
                Err(ReadError::Segment { fault: SegmentFault::Io(error), .. })
                    if error.kind() == std::io::ErrorKind::NotFound => {}
                searched => searched?,
            }
            if filling.page.next.is_some() {
                break;
            }
        }
        Ok(filling.page)
    }

    fn search_segment(&self, segment: &Readable, filling: &mut Filling<'_>) -> Result<(), ReadError> {
        let query = filling.query;
        let is_before = query.cursor.is_some_and(|cursor| match query.newest_first {
            false => segment.end <= cursor,
            true => segment.first > cursor,
        });
        let is_outside = query.from_ms.is_some_and(|from| segment.times.1 < from)
            || query.to_ms.is_some_and(|to| segment.times.0 >= to);
        if is_before || is_outside || segment.first == segment.end {
            return Ok(());
        }
        let index = if segment.is_indexed { Index::read(self.dir, segment.first)? } else { None };
        let mut blocks: Vec<(Block, u64)> = match &index {
            Some(index) => {
                index.candidates(query).into_iter().map(|block| (block, index.end_of(block))).collect()
            }
            None => blocks_of(segment),
        };
        if query.newest_first {
            blocks.reverse();
        }
        for (block, end) in blocks {
            self.search_block(segment, block, end, filling)?;
            if filling.page.next.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn search_block(
        &self,
        segment: &Readable,
        block: Block,
        end: u64,
        filling: &mut Filling<'_>,
    ) -> Result<(), ReadError> {
        let query = filling.query;
        if query.cursor.is_some_and(|cursor| query.newest_first && block.number > cursor) {
            return Ok(());
        }
        let failed = |fault| ReadError::Segment { path: events_path(self.dir, segment.first), fault };
        let mut reader = SegmentReader::open_at(self.dir, segment.first, block, end).map_err(failed)?;
        let (mut matching, mut last) = (Vec::new(), block.number);
        while let Some((number, bytes)) = reader.next_event().map_err(failed)? {
            last = number;
            match filling.matching(number, bytes) {
                Some(found) if query.newest_first => matching.push(found),
                Some(found) => filling.add(found),
                None => {}
            }
            if filling.page.next.is_some() {
                return Ok(());
            }
        }
        for found in matching.into_iter().rev() {
            filling.add(found);
        }
        filling.looked_at += end - block.offset;
        if filling.looked_at >= LOOK_BYTES_MAX && filling.page.next.is_none() {
            filling.page.next = match query.newest_first {
                false => Some(last + 1),
                true => block.number.checked_sub(1),
            };
        }
        Ok(())
    }
}

impl Filling<'_> {
    fn matching(&self, number: u64, bytes: bytes::Bytes) -> Option<Found> {
        let query = self.query;
        let is_on_page = query.cursor.is_none_or(|cursor| match query.newest_first {
            false => number >= cursor,
            true => number <= cursor,
        });
        // Most events are told by this alone, without being read.
        if !is_on_page || self.texts.iter().any(|text| text.find(&bytes).is_none()) {
            return None;
        }
        let event = Event::decode(&bytes).ok().filter(|event| query.matches(event))?;
        Some(Found { number, event, bytes })
    }

    fn add(&mut self, found: Found) {
        let is_full =
            self.page.events.len() >= self.query.page_events() || self.found_bytes >= READ_BYTES_MAX;
        if is_full {
            // The first that does not fit any more.
            self.page.next.get_or_insert(found.number);
        } else {
            self.found_bytes += found.bytes.len();
            self.page.events.push(found);
        }
    }
}

/// The blocks of a segment without an index, each with its end.
fn blocks_of(segment: &Readable) -> Vec<(Block, u64)> {
    let start = segment.block_of(segment.first);
    let later = segment.blocks.iter().copied().filter(|block| block.number > start.number);
    let mut starts = vec![start];
    starts.extend(later);
    let ends = starts.iter().skip(1).map(|block| block.offset).chain([segment.bytes]);
    starts.iter().copied().zip(ends.collect::<Vec<_>>()).collect()
}
