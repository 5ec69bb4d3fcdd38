//! Why a backup could not be made, read or restored. Every message says what to do when a person can.

use std::io;
use std::path::PathBuf;

use crate::raft::rebuild::RebuildError;
use keymoot_codec::CodecError;
use keymoot_store::{SnapshotFault, StoreError};

/// What is wrong with the begin of a file that should be a backup.
#[derive(Debug, thiserror::Error)]
pub enum HeaderFault {
    /// Another kind of file.
    #[error("it is no backup of Keymoot")]
    Magic,
    /// A newer build's file.
    #[error("byte 7 says format {found} and this build knows format {known}; use the newer build")]
    Format {
        /// The format it names.
        found: u8,
        /// That of this build.
        known: u8,
    },
    /// A length that no header has.
    #[error(
        "byte 12 says that its header is {bytes} bytes long, of which {bytes_max} are allowed; use another backup"
    )]
    TooLong {
        /// The length.
        bytes: usize,
        /// The longest.
        bytes_max: usize,
    },
    /// It ends too early.
    #[error("it breaks off in its header, at byte 8 or later; use another backup")]
    Truncated,
    /// It is damaged, or not what this build knows.
    #[error("its header, from byte 8, cannot be read ({0}); use another backup")]
    Codec(#[from] CodecError),
    /// The disk failed.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
}

impl HeaderFault {
    pub(super) fn of_reading(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}

/// Why a backup could not be read, trusted or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not begin like a backup that this build can read.
    #[error("{} is refused: {fault}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: HeaderFault,
    },
    /// Its records are damaged.
    #[error("{} is damaged at byte {offset}: {fault}; use another backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// How.
        fault: SnapshotFault,
    },
    /// Whole, but its records are not what its header says.
    #[error("{} holds other records than its header says ({what}); use another backup", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// Which part of the header.
        what: &'static str,
    },
    /// A record of it cannot be read.
    #[error("{} holds a record that this build cannot read", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Which.
        #[source]
        source: keymoot_state::StateError,
    },
    /// It is another cluster's.
    #[error(
        "the backup is of cluster {found:?}, but cluster.name is {expected:?}; a restored cluster keeps its name, which stands in its certificates"
    )]
    OtherCluster {
        /// The cluster in the backup.
        found: String,
        /// That of the configuration.
        expected: String,
    },
    /// The keyring lacks master keys.
    #[error(
        "the keyring does not open the backup: it lacks {missing}; restore the keyring that was in use then"
    )]
    Keyring {
        /// The ids that are missing, or what is wrong.
        missing: String,
    },
    /// There are data already.
    #[error("{} holds a node's data; restore into an empty data directory, or move it away first", path.display())]
    NotEmpty {
        /// The data directory.
        path: PathBuf,
    },
    /// No fence could be drawn.
    #[error("no fence can be drawn: {0}")]
    Random(String),
    /// The fence that was given belongs to another restore.
    #[error(
        "--fence {fence} was chosen for another backup or another list of members; give the same file and the same --member options on every machine"
    )]
    OtherRestore {
        /// What was given.
        fence: u64,
    },
    /// The data directory cannot be built.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
}

impl BackupError {
    /// Of a snapshot inside a backup: its own words speak of snapshots on their way between nodes.
    pub(super) fn of_store(error: StoreError) -> Self {
        match error {
            StoreError::Snapshot { file: path, offset, fault } => Self::Damaged { path, offset, fault },
            other => Self::Rebuild(RebuildError::Store(other)),
        }
    }
}
