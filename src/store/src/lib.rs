//! Bytes on disk: the data directory, the Raft log, the tables and the snapshot files.
//!
//! Owns every file under a node's data directory and the guarantee of each: an entry whose completion ran is
//! on the disk; a commit to the tables is atomic; a snapshot is verified whole before any of it is installed;
//! a directory is opened by one process and one node only. Damage is an error that names file and offset;
//! damaged data is never read as missing data.
//!
//! The crate does not know what an entry or a record means, and uses no type of the consensus library. The
//! tables are not synced on commit, because the Raft log is their write-ahead log: code that purges the log
//! calls [`Tables::persist`] first and compares the applied position with the purged one at start.

mod directory;
mod divergence;
mod durable;
mod error;
#[cfg(test)]
mod golden;
mod identity;
mod incarnations;
mod incoming;
mod late_notes;
mod lock;
mod log;
mod quorum_contact;
mod rebuild;
mod snapshot;
mod space;
mod starts;
mod states;
mod tables;
mod toml_file;

pub use directory::Directory;
pub use divergence::Divergence;
pub use error::{JOIN_ANEW, SnapshotFault, StoreError};
pub use identity::Identity;
pub use incarnations::Incarnation;
pub use incoming::Incoming;
pub use late_notes::{keep_late_notes, kept_late_notes};
pub use log::{Completion, ENTRY_BYTES_MAX, Log, LogOptions, LogPosition, StoredVote};
pub use quorum_contact::QuorumContact;
pub use rebuild::Rebuild;
pub use snapshot::{SnapshotReader, SnapshotRecord, SnapshotRecords, SnapshotWriter};
pub use space::{Ballast, Space};
pub use starts::{PeerMemory, Start};
pub use tables::{
    KEY_BYTES_MAX, TableIter, Tables, TablesOptions, Value, View, WriteBatch, files_max as table_files_max,
};
