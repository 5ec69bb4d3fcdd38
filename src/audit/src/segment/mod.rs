//! Segments: files of some MiB in which the events of a log stand one after the other.
//!
//! ```text
//! segments/<number of the first event, 20 digits>.events    a header of 32 bytes, then records
//! segments/<the same>.index                                 once no event is added to it any more: see `index.rs`
//! ```

mod file;
mod index;
mod record;

pub use file::SegmentFault;
pub(crate) use file::{SegmentHeader, SegmentReader, events_path, index_path, list};
pub(crate) use index::{BLOCK_BYTES, Block, Index, IndexBuilder, IndexEntry};
pub(crate) use record::write_record;
