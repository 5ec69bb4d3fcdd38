//! Errors of the store. Each message says what to do, if a person can do something.

use std::io;
use std::path::{Path, PathBuf};

/// The remedy for a node whose data cannot be used. Its peers refuse the old id with an empty directory.
pub const JOIN_ANEW: &str = "run keymoot cluster replace-disk here, which makes this machine a new node and keeps the \
                             old data (by hand: keymoot cluster remove ID at another node, then keymoot cluster join \
                             here with an empty directory): docs/disks.md";

/// Why a file, the log, the tables or a snapshot could not be used. Never holds stored bytes.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An operation of the file system failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// The operation, as a verb that completes "cannot …".
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The note of the last contact with a quorum is not what is expected.
    #[error("{} cannot be read: {why}; the node works without it, and writes it anew", path.display())]
    QuorumContact { path: PathBuf, why: String },
    /// Another process has the data directory open.
    #[error("{} is in use by another process ({holder}); stop it, or give this node a data directory of its own", path.display())]
    InUse {
        path: PathBuf,
        /// The holder, from the lock file.
        holder: String,
    },
    /// The directory belongs to another node or cluster.
    #[error("{} belongs to node {found_node} of cluster {found_cluster:?}, not to node {node} of cluster {cluster:?}; correct the configuration, or give this node its own data directory", path.display())]
    OtherIdentity {
        path: PathBuf,
        /// The node in the identity file.
        found_node: u64,
        /// The cluster in the identity file.
        found_cluster: String,
        /// The node that tried to open the directory.
        node: u64,
        /// The cluster of that node.
        cluster: String,
    },
    /// The identity file does not have the expected content.
    #[error("{} cannot be read as an identity ({why}); restore it, or {anew}", path.display(), anew = JOIN_ANEW)]
    IdentityUnreadable { path: PathBuf, why: String },
    /// The file of the incarnations does not have the expected content.
    #[error("{} cannot be read as incarnations ({why}); restore it, or {anew}", path.display(), anew = JOIN_ANEW)]
    IncarnationsUnreadable { path: PathBuf, why: String },
    /// The file of the starts does not have the expected content.
    #[error("{} cannot be read as starts ({why}); restore it, or {anew}", path.display(), anew = JOIN_ANEW)]
    StartsUnreadable { path: PathBuf, why: String },
    /// The contents are not those of the cluster, and the node has stopped for good.
    #[error("{reason} ({})", path.display())]
    Diverged {
        /// The file with the mark.
        path: PathBuf,
        /// What happened, and the way out.
        reason: String,
    },
    /// The mark that refuses a directory does not have the expected content.
    #[error("{} says that no node may start from here, and cannot be read ({why}); {anew}", path.display(), anew = JOIN_ANEW)]
    DivergenceUnreadable { path: PathBuf, why: String },
    /// A recovered cluster has admitted the node meanwhile.
    #[error("this node belongs to another recovery of the cluster by now; greet it again")]
    OtherFence,
    /// The directory was written by a newer build.
    #[error("{} says format {found} but this build knows format {known}; run the newer build", path.display())]
    NewerFormat {
        /// The file with the newer format.
        path: PathBuf,
        /// The format in the file.
        found: u32,
        /// The format of this build.
        known: u32,
    },
    /// The directory holds data but no identity.
    #[error("{} holds data but no {file}; restore the file, or {anew}", path.display(), anew = JOIN_ANEW)]
    Unnamed {
        path: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },
    /// A recovery or restore stopped half-way.
    #[error("a recovery, restore or replacement of {} was interrupted; give the same command again, it will be finished", path.display())]
    HalfRebuilt { path: PathBuf },
    /// `CURRENT` names no state directory.
    #[error("{} names no state directory ({why}); restore it, or {anew}", path.display(), anew = JOIN_ANEW)]
    Current {
        /// The `CURRENT` file.
        path: PathBuf,
        why: String,
    },
    /// The log holds bytes that differ from those written.
    #[error("{} is damaged at byte {offset}; the node must not start from it: {anew}", file.display(), anew = JOIN_ANEW)]
    LogDamaged {
        file: PathBuf,
        /// Offset of the damaged record in the file.
        offset: u64,
    },
    /// The log does not start at its own purge mark.
    #[error("the log in {} lacks entry {missing}, which it says it holds; {anew}", path.display(), anew = JOIN_ANEW)]
    LogGap {
        /// The directory of the log.
        path: PathBuf,
        /// The index of the first missing entry.
        missing: u64,
    },
    /// The tables hold bytes that differ from those written.
    #[error("{} is damaged at byte {offset}, before what a power cut can have torn; the node must not start from it: {anew}", file.display(), anew = JOIN_ANEW)]
    TablesDamaged {
        file: PathBuf,
        /// Offset of the first incomplete batch.
        offset: u64,
    },
    /// A file of the tables was removed or emptied.
    #[error("{} is missing or empty, and the tables need what it held; put it back if it was moved, else {anew}", file.display(), anew = JOIN_ANEW)]
    TablesIncomplete { file: PathBuf },
    /// A file of the log or the tables has a format that this build cannot read.
    #[error("{} has version {found} of its format, and this build reads version {known}: run the build that wrote it", file.display())]
    UnknownFormat {
        file: PathBuf,
        /// The version in the file.
        found: u64,
        /// The version that this build reads.
        known: u64,
    },
    /// The storage engine does not find what it wrote.
    #[error("a file of the tables in {} is missing, or cannot be read; put it back if it was moved, see to the disk, else {anew}", path.display(), anew = JOIN_ANEW)]
    TablesUnopened {
        /// The directory of the tables.
        path: PathBuf,
        #[source]
        source: fjall::Error,
    },
    /// The storage engine of the tables failed.
    #[error("cannot {doing} the tables in {}", path.display())]
    Tables {
        /// The operation, as a verb that completes "cannot …".
        doing: &'static str,
        /// The directory of the tables.
        path: PathBuf,
        #[source]
        source: fjall::Error,
    },
    /// The storage engine accepts no more writes: an earlier one failed, or none ends.
    #[error("the tables in {} can no longer be written ({why}): make room on the disk, or see to it (docs/disks.md), then start the node again", path.display())]
    TablesStopped {
        /// The directory of the tables.
        path: PathBuf,
        why: &'static str,
    },
    /// No table of this number was named when the tables were opened.
    #[error("there is no table {table}; {tables} were opened")]
    NoTable {
        /// The requested number.
        table: usize,
        /// The number of tables.
        tables: usize,
    },
    /// A key that cannot be stored.
    #[error("a key of {bytes} bytes cannot be stored; 1 to {bytes_max} can")]
    Key {
        /// The length of the key.
        bytes: usize,
        /// The longest key that can be stored.
        bytes_max: usize,
    },
    /// A snapshot replaced the tables after the batch was started.
    #[error("the tables were replaced after this batch was begun; begin it anew")]
    Superseded,
    /// The snapshot is of other tables.
    #[error(
        "the snapshot holds the tables {found:?} but this node keeps {expected:?}; run the same build on every node"
    )]
    OtherTables {
        /// The tables in the snapshot.
        found: Vec<String>,
        /// The tables of this node.
        expected: Vec<String>,
    },
    /// The snapshot is not whole or is damaged.
    #[error("snapshot {} is refused at byte {offset}: {fault}; have it sent again", file.display())]
    Snapshot {
        file: PathBuf,
        /// Offset of the fault.
        offset: u64,
        fault: SnapshotFault,
    },
}

/// The fault of a snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// The file does not start like a snapshot.
    #[error("it does not begin like a snapshot")]
    Magic,
    /// The file was written by a newer version.
    #[error("its format is newer than this build")]
    NewerFormat,
    /// The file ends too early.
    #[error("it breaks off")]
    Truncated,
    /// A section's bytes do not agree with its checksum.
    #[error("a checksum does not agree")]
    Checksum,
    /// The digest over the whole file does not agree.
    #[error("the digest of the whole does not agree")]
    Digest,
    /// A section of the wrong kind for its position.
    #[error("a section is out of place")]
    OutOfPlace,
    /// A section whose content does not decode.
    #[error("a section does not hold what it says")]
    Malformed,
    /// A record that does not sort after the one before it.
    #[error("a record is out of order")]
    OutOfOrder,
    /// The number of records differs from the footer's.
    #[error("records are missing")]
    Count,
    /// Bytes after the footer.
    #[error("bytes follow the end")]
    Trailing,
}

impl StoreError {
    /// Wraps an error of the operating system with the operation on `path` that failed.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// Wraps an error of the storage engine with the operation in `path` that failed.
    pub(super) fn tables(doing: &'static str, path: &Path) -> impl FnOnce(fjall::Error) -> Self {
        let path = path.to_owned();
        move |source| match source {
            // The engine's own word for it says nothing to a reader.
            fjall::Error::Poisoned => Self::TablesStopped { path, why: "an earlier write to a file failed" },
            source => Self::Tables { doing, path, source },
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        Self::other(error)
    }
}
