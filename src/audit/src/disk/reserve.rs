//! Room on the disk that is held back for events: the segment that is written to owns the blocks behind its end, so that
//! nobody else who fills the disk takes them. Where they can be held no longer, nothing is granted before they are used up.

use std::fs::File;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::active::Active;
use super::{DiskLog, lock};

/// Room in a file behind its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reserve {
    /// Up to this offset.
    UpTo(u64),
    /// The file system cannot hold any.
    Unsupported,
}

/// How much must be held back: more to grant again than to go on, so that a node does not waver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Least {
    /// A quarter.
    ToGoOn,
    /// A half.
    ToBeginAgain,
}

/// Reserves room from `end` on, as much of `bytes` as there is: all, a half, a quarter or none.
fn reserve(file: &File, end: u64, bytes: u64) -> Reserve {
    for part in [bytes, bytes / 2, bytes / 4] {
        match fallocate(file, FallocateFlags::KEEP_SIZE, end, part.max(1)) {
            Ok(()) => return Reserve::UpTo(end + part),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Reserve::Unsupported,
            // No room, or none that is whole: less is tried.
            Err(_) => {}
        }
    }
    Reserve::UpTo(end)
}

impl Active {
    /// Holds back room behind the end. Gives whether there is enough to go on with.
    pub(super) fn reserve_room(&mut self, bytes: u64) -> bool {
        let found = reserve(&self.file, self.end(), bytes);
        // A smaller part than what is left is no loss: the blocks stay.
        self.reserve = match (self.reserve, found) {
            (Reserve::UpTo(old), Reserve::UpTo(new)) => Reserve::UpTo(old.max(new)),
            (_, found) => found,
        };
        self.held_back().is_none_or(|left| left >= bytes / 4)
    }

    /// The bytes that are still held back.
    fn held_back(&self) -> Option<u64> {
        match self.reserve {
            Reserve::UpTo(end) => Some(end.saturating_sub(self.end())),
            Reserve::Unsupported => None,
        }
    }
}

impl DiskLog {
    /// Holds back room again when half of it is used. Gives why nothing may be granted, if too little is left.
    pub(super) fn hold_back(&self, least: Least) -> Option<String> {
        let bytes = self.settings.held_back_bytes;
        let mut active = lock(&self.active);
        if active.held_back().is_some_and(|left| left <= bytes / 2) {
            active.reserve_room(bytes);
        }
        let least = match least {
            Least::ToGoOn => bytes / 4,
            Least::ToBeginAgain => bytes / 2,
        };
        let left = active.held_back().filter(|left| *left < least)?;
        Some(format!(
            "the disk of {} is full: {left} of the {bytes} bytes of audit.held_back_bytes are left; make room on it",
            self.dir.display()
        ))
    }
}
