//! Where events come from: the audit log of this node, or a made-up one in tests.

use std::io;

use bytes::Bytes;
use keymoot_audit::AuditLog;
use keymoot_telemetry::with_causes;
use tokio::sync::watch;

/// A log that is read while it grows.
pub trait EventSource: Clone + Send + Sync + 'static {
    /// The log's name, which no other log has.
    fn log(&self) -> String;

    /// How many events may be sent, counted with those that were deleted: those that a power cut does not take back, so
    /// that no number ever stands for two events.
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

    /// A receiver has all events below this number.
    fn acknowledge(&self, receiver: &str, number: u64);
}

impl EventSource for AuditLog {
    fn log(&self) -> String {
        self.origin().to_owned()
    }

    fn size(&self) -> u64 {
        self.checkpoint().checkpoint().size
    }

    fn first_kept(&self) -> u64 {
        Self::first_kept(self)
    }

    fn read(&self, from: u64, max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        let size = EventSource::size(self);
        let mut events =
            Self::read(self, from, max).map_err(|error| io::Error::other(with_causes(&error)))?;
        events.retain(|(number, _)| *number < size);
        Ok(events)
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.subscribe()
    }

    fn acknowledge(&self, receiver: &str, number: u64) {
        Self::acknowledge(self, receiver, number);
    }
}
