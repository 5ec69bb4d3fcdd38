//! The kinds of values in envelopes, and their versions.
//!
//! The numbers are on disk and on the wire: numbers are only ever added.

use std::fmt;

/// The kind of value in an envelope. A kind is never decoded as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value of a table of the replicated state.
    Record,
    /// The payload of an entry of the Raft log.
    Entry,
    /// A message between two nodes.
    Frame,
    /// The header of a snapshot.
    SnapshotHeader,
    /// The members of the cluster, as an entry of the Raft log.
    Membership,
    /// The position up to which a state is applied.
    Mark,
    /// The first message between two nodes.
    Hello,
    /// The header of a backup.
    Backup,
    /// The first message between two nodes that know the second version of their protocol.
    Greeting,
    /// The first message between two nodes that know the third version of their protocol.
    DirectoryGreeting,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Record,
        Self::Entry,
        Self::Frame,
        Self::SnapshotHeader,
        Self::Membership,
        Self::Mark,
        Self::Hello,
        Self::Backup,
        Self::Greeting,
        Self::DirectoryGreeting,
    ];

    /// The kind's number in the envelope.
    pub const fn number(self) -> u8 {
        match self {
            Self::Record => 1,
            Self::Entry => 2,
            Self::Frame => 3,
            Self::SnapshotHeader => 4,
            Self::Membership => 5,
            Self::Mark => 6,
            Self::Hello => 7,
            Self::Backup => 8,
            Self::Greeting => 9,
            Self::DirectoryGreeting => 10,
        }
    }

    /// The version that is written: the newest that can be read.
    pub const fn version(self) -> u8 {
        match self.versions_accepted() {
            [.., newest] => *newest,
            // Unreachable: every kind has a version below.
            [] => 0,
        }
    }

    /// The versions that can be read, oldest first; the last is the one that is written.
    pub(crate) const fn versions_accepted(self) -> &'static [u8] {
        match self {
            Self::Record
            | Self::Entry
            | Self::Frame
            | Self::SnapshotHeader
            | Self::Membership
            | Self::Mark
            | Self::Hello
            | Self::Backup
            | Self::Greeting
            | Self::DirectoryGreeting => &[1],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Record => "table record",
            Self::Entry => "log entry",
            Self::Frame => "peer frame",
            Self::SnapshotHeader => "snapshot header",
            Self::Membership => "membership",
            Self::Mark => "applied mark",
            Self::Hello => "greeting",
            Self::Backup => "backup header",
            Self::Greeting => "greeting with a data directory",
            Self::DirectoryGreeting => "greeting with what a data directory has done",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_number_of_its_own() {
        let numbers: BTreeSet<u8> = Kind::ALL.iter().map(|kind| kind.number()).collect();
        assert_eq!(numbers.len(), Kind::ALL.len());
    }

    #[test]
    fn every_kind_reads_what_it_writes_and_nothing_newer() {
        for kind in Kind::ALL {
            assert_eq!(kind.versions_accepted().last(), Some(&kind.version()), "{kind}");
            assert!(kind.versions_accepted().is_sorted(), "{kind}");
        }
    }
}
