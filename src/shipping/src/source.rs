//! Where events come from: the audit log of this node, or a made-up one in tests.

use std::io;

use bytes::Bytes;
use tokio::sync::watch;

/// A log that is read while it grows.
pub trait EventSource: Clone + Send + Sync + 'static {
    /// The log's name, which no other log has.
    fn log(&self) -> String;

    /// How many events it holds, counted with those that were deleted. What is below is written.
    fn size(&self) -> u64;

    /// The number of the first event that is not deleted.
    fn first_kept(&self) -> u64;

    /// The bytes of events, in order: from the first one kept that has this number or a higher one, at most so many.
    /// It may block.
    ///
    /// # Errors
    /// When they cannot be read now.
    fn read(&self, from: u64, max: usize) -> io::Result<Vec<(u64, Bytes)>>;

    /// Tells when it has grown.
    fn grown(&self) -> watch::Receiver<u64>;
}
