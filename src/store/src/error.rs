//! Why the store could not do as asked. Every message says what to do when a person can do it.

use std::io;
use std::path::{Path, PathBuf};

/// What is done about a node whose data cannot be used. Its peers refuse its id with an empty directory.
pub const JOIN_ANEW: &str = "remove this node at another one (keymoot cluster remove ID), then let its machine \
                             join under a new id with an empty directory: docs/disks.md";

/// Why a file, the log, the tables or a snapshot could not be used. Never holds stored bytes.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done, a verb.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Another process has the data directory open.
    #[error("{} is in use by another process ({holder}); stop it, or give this node a data directory of its own", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Who holds it, as the lock file says.
        holder: String,
    },
    /// The directory belongs to another node or cluster.
    #[error("{} belongs to node {found_node} of cluster {found_cluster:?}, not to node {node} of cluster {cluster:?}; correct the configuration, or give this node its own data directory", path.display())]
    OtherIdentity {
        /// The identity file.
        path: PathBuf,
        /// The node it names.
        found_node: u64,
        /// The cluster it names.
        found_cluster: String,
        /// The node that wanted to open it.
        node: u64,
        /// The cluster of that node.
        cluster: String,
    },
    /// The identity file does not say what it should.
    #[error("{} cannot be read as an identity ({why}); restore it, or {anew}", path.display(), anew = JOIN_ANEW)]
    IdentityUnreadable {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file of the incarnations does not say what it should.
    #[error("{} cannot be read as incarnations ({why}); restore it, or {anew}", path.display(), anew = JOIN_ANEW)]
    IncarnationsUnreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A recovered cluster took the node in meanwhile.
    #[error("this node belongs to another recovery of the cluster by now; greet it again")]
    OtherFence,
    /// The directory was written by a newer build.
    #[error("{} says format {found} but this build knows format {known}; run the newer build", path.display())]
    NewerFormat {
        /// The file that says so.
        path: PathBuf,
        /// The format it names.
        found: u32,
        /// The format of this build.
        known: u32,
    },
    /// There is data but nothing says whose.
    #[error("{} holds data but no {file}; restore the file, or {anew}", path.display(), anew = JOIN_ANEW)]
    Unnamed {
        /// The data directory.
        path: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },
    /// A recovery or restore stopped half-way.
    #[error("a recovery or restore of {} was interrupted; give the same command again, it will be finished", path.display())]
    HalfRebuilt {
        /// The data directory.
        path: PathBuf,
    },
    /// `CURRENT` names no state directory.
    #[error("{} names no state directory ({why}); restore it, or {anew}", path.display(), anew = JOIN_ANEW)]
    Current {
        /// The `CURRENT` file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The log holds bytes that were not written that way.
    #[error("{} is damaged at byte {offset}; the node must not start from it: {anew}", file.display(), anew = JOIN_ANEW)]
    LogDamaged {
        /// The damaged file.
        file: PathBuf,
        /// Where the damaged record begins in it.
        offset: u64,
    },
    /// The log does not begin where its own purge mark says.
    #[error("the log in {} lacks entry {missing}, which it says it holds; {anew}", path.display(), anew = JOIN_ANEW)]
    LogGap {
        /// The directory of the log.
        path: PathBuf,
        /// The index of the first missing entry.
        missing: u64,
    },
    /// The tables hold bytes that were not written that way.
    #[error("{} is damaged at byte {offset}, before what a power cut can have torn; the node must not start from it: {anew}", file.display(), anew = JOIN_ANEW)]
    TablesDamaged {
        /// The damaged file.
        file: PathBuf,
        /// Where the first batch begins that is not whole.
        offset: u64,
    },
    /// The storage engine of the tables failed.
    #[error("cannot {doing} the tables in {}", path.display())]
    Tables {
        /// What was being done, a verb.
        doing: &'static str,
        /// The directory of the tables.
        path: PathBuf,
        /// What the engine says.
        #[source]
        source: fjall::Error,
    },
    /// A table that was not named when the tables were opened.
    #[error("there is no table {table}; {tables} were opened")]
    NoTable {
        /// The number asked for.
        table: usize,
        /// How many there are.
        tables: usize,
    },
    /// A key that cannot be stored.
    #[error("a key of {bytes} bytes cannot be stored; 1 to {bytes_max} can")]
    Key {
        /// The length of the key.
        bytes: usize,
        /// The longest that can be stored.
        bytes_max: usize,
    },
    /// The tables were replaced by a snapshot after the batch was begun.
    #[error("the tables were replaced after this batch was begun; begin it anew")]
    Superseded,
    /// A snapshot of other tables.
    #[error(
        "the snapshot holds the tables {found:?} but this node keeps {expected:?}; run the same build on every node"
    )]
    OtherTables {
        /// The tables in the snapshot.
        found: Vec<String>,
        /// The tables of this node.
        expected: Vec<String>,
    },
    /// A snapshot that cannot be trusted.
    #[error("snapshot {} is refused at byte {offset}: {fault}; have it sent again", file.display())]
    Snapshot {
        /// The snapshot file.
        file: PathBuf,
        /// Where the fault is.
        offset: u64,
        /// What is wrong.
        fault: SnapshotFault,
    },
}

/// What is wrong with a snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    /// It does not begin like a snapshot.
    #[error("it does not begin like a snapshot")]
    Magic,
    /// It was written by a newer build.
    #[error("its format is newer than this build")]
    NewerFormat,
    /// It ends too early.
    #[error("it breaks off")]
    Truncated,
    /// A section's bytes do not agree with its checksum.
    #[error("a checksum does not agree")]
    Checksum,
    /// The digest over the whole file does not agree.
    #[error("the digest of the whole does not agree")]
    Digest,
    /// A section of another kind than the one that must stand here.
    #[error("a section is out of place")]
    OutOfPlace,
    /// A section that does not hold what it says.
    #[error("a section does not hold what it says")]
    Malformed,
    /// A record that is not after the one before it.
    #[error("a record is out of order")]
    OutOfOrder,
    /// The records are not as many as the footer says.
    #[error("records are missing")]
    Count,
    /// Bytes after the footer.
    #[error("bytes follow the end")]
    Trailing,
}

impl StoreError {
    /// Turns an error of the operating system into one that says what was being done to `path`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// Turns an error of the storage engine into one that says what was being done in `path`.
    pub(super) fn tables(doing: &'static str, path: &Path) -> impl FnOnce(fjall::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Tables { doing, path, source }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        Self::other(error)
    }
}
