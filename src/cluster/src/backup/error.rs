//! Why a backup could not be made, read or restored. Every message names a remedy where there is
//! one.

use std::io;
use std::path::PathBuf;

use crate::members::authority::AuthorityError;
use crate::raft::rebuild::RebuildError;
use keymoot_codec::CodecError;
use keymoot_crypto::SignatureFault;
use keymoot_store::{SnapshotFault, StoreError};

/// What is wrong with the start of a backup file.
#[derive(Debug, thiserror::Error)]
pub enum HeaderFault {
    /// The file is of another kind.
    #[error("it is no backup of Keymoot")]
    Magic,
    /// The file is of a newer version.
    #[error("byte 7 says format {found} and this build knows format {known}; use the newer build")]
    Format {
        /// The format that the file names.
        found: u8,
        /// The format that this program knows.
        known: u8,
    },
    /// The header's length is impossible.
    #[error(
        "byte 12 says that its header is {bytes} bytes long, of which {bytes_max} are allowed; use another backup"
    )]
    TooLong { bytes: usize, bytes_max: usize },
    /// The file ends before its header does.
    #[error("it breaks off in its header, at byte 8 or later; use another backup")]
    Truncated,
    /// The header is damaged, or of an unknown form.
    #[error("its header, from byte 8, cannot be read ({0}); use another backup")]
    Codec(#[from] CodecError),
    /// The id of the master key that it is signed under is damaged.
    #[error("the id of the master key of its signature, behind the header, is no text; use another backup")]
    MasterKey,
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

/// Why a backup could not be read, verified or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot {verb} {}", path.display())]
    Write {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// There is a file of that name, which must not be replaced.
    #[error("{} exists", path.display())]
    Exists { path: PathBuf },
    /// The file does not begin with a header that this program can read.
    #[error("{} is refused: {fault}", path.display())]
    Header { path: PathBuf, fault: HeaderFault },
    /// The file's records are damaged.
    #[error("{} is damaged at byte {offset}: {fault}; use another backup", path.display())]
    Damaged { path: PathBuf, offset: u64, fault: SnapshotFault },
    /// The checksums are right, but the records contradict the header.
    #[error("{} holds other records than its header says ({what}); use another backup", path.display())]
    Contradiction {
        path: PathBuf,
        /// The part of the header that is contradicted.
        what: &'static str,
    },
    /// A record cannot be read.
    #[error("{} holds a record that this build cannot read", path.display())]
    Record {
        path: PathBuf,
        #[source]
        source: keymoot_state::StateError,
    },
    /// The signature is not the cluster's.
    #[error("{} is refused: {fault}", path.display())]
    Signature { path: PathBuf, fault: SignatureFault },
    /// There is no signature, and nobody said that there need be none.
    #[error(
        "{} is not signed: it was taken by an earlier version, or salvaged from a data directory, or its signature was stripped; use a signed backup, or pass --unsigned if you know that nobody altered this one",
        path.display()
    )]
    Unsigned { path: PathBuf },
    /// The backup is of another cluster.
    #[error(
        "the backup is of cluster {found:?}, but cluster.name is {expected:?}; a restored cluster keeps its name, which stands in its certificates"
    )]
    OtherCluster {
        /// The cluster in the backup.
        found: String,
        /// The name in the configuration.
        expected: String,
    },
    /// The keyring lacks master keys.
    #[error(
        "the keyring does not open the backup: it lacks {missing}; restore the keyring that was in use then"
    )]
    Keyring {
        /// The ids of the missing keys, or what is wrong.
        missing: String,
    },
    /// The data directory is not empty.
    #[error("{} holds a node's data; restore into an empty data directory, or move it away first", path.display())]
    NotEmpty { path: PathBuf },
    /// The operating system's randomness failed, so no fence was chosen.
    #[error("no fence can be drawn: {0}")]
    Random(String),
    /// The given fence belongs to another restore.
    #[error(
        "--fence {fence} was chosen for another backup, another list of members or another certificate authority; give the same file and the same --member options on every machine, and the same CA in cluster.ca_file"
    )]
    OtherRestore { fence: u64 },
    /// The authority in the backup and the node's certificates make no cluster that can grow.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The data directory cannot be built.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
}

impl BackupError {
    /// The error of a snapshot in a backup. It has messages of its own, because those of the store
    /// speak of snapshots sent between nodes.
    pub(super) fn of_store(error: StoreError) -> Self {
        match error {
            StoreError::Snapshot { file: path, offset, fault } => Self::Damaged { path, offset, fault },
            other => Self::Rebuild(RebuildError::Store(other)),
        }
    }
}
