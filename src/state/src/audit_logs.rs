//! The audit logs of the nodes: who writes which, how far each had grown, and which nodes have checked that.
//!
//! Whoever owns a node can rewrite that node's log and sign it anew. What the node had said of it before stands
//! here, beside the signatures of other nodes that had checked it then: so the rewritten log does not fit any
//! more. Records of removed nodes and of logs that have ended stay.
//!
//! The state verifies no signature, because it is the same on every node for ever and signatures are not:
//! whoever reads a record verifies it by the public keys in it. What is decided here is that a log has one key,
//! never shrinks, and has one root for each size.
//!
//! Of each log the last checkpoints are kept, and of older ones that other nodes cosigned one of each day. One
//! without a cosignature never displaces one that has some.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use keymoot_model::NodeId;

use super::features;
use super::layout::{
    META_AUDIT_LOG, audit_log_key, audit_logs_of, current_audit_log_key, older_checkpoint_key,
    older_checkpoints_of,
};
use super::nodes;
use super::record::NodeRecord;
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::Transaction;

/// How many of the newest checkpoints of a log are kept.
pub const AUDIT_CHECKPOINTS_MAX: usize = 12;
/// How many older ones are kept, one of a day: more than a year of them.
pub const OLDER_AUDIT_CHECKPOINTS_MAX: u32 = 400;
/// How many logs a node may register in its life: one for each of its data directories.
pub const AUDIT_LOGS_OF_NODE_MAX: usize = 256;
/// No checkpoint has cosignatures of more nodes.
const COSIGNATURES_MAX: usize = 64;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// The random number that tells a log from every other one of its node. As text it has 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditLogId([u8; 8]);

/// The text is no number of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a log is named by 16 hexadecimal digits")]
pub struct AuditLogIdError;

impl AuditLogId {
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for AuditLogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for AuditLogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AuditLogId {
    type Err = AuditLogIdError;
    fn from_str(text: &str) -> Result<Self, AuditLogIdError> {
        let mut bytes = [0; 8];
        let decoded = base16ct::lower::decode(text, &mut bytes).map(<[u8]>::len);
        if decoded == Ok(bytes.len()) { Ok(Self(bytes)) } else { Err(AuditLogIdError) }
    }
}

impl Serialize for AuditLogId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for AuditLogId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom),
            false => <[u8; 8]>::deserialize(deserializer).map(Self),
        }
    }
}

/// A log of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AuditLogName {
    pub node: NodeId,
    pub log: AuditLogId,
}

impl fmt::Display for AuditLogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.log)
    }
}

/// How far a log had grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSize {
    /// The number of its events.
    pub size: u64,
    /// The root of the tree over them.
    pub root: [u8; 32],
}

/// The log that a new one follows on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPredecessor {
    pub name: AuditLogName,
    /// How far it had grown when it was last heard of.
    pub last: AuditSize,
}

/// A node's signature of another node's checkpoint, which it has checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCosignature {
    /// The log of the node that signed: its key made the signature.
    pub by: AuditLogName,
    /// When it signed: seconds since 1970 UTC, by its clock. The signature covers it.
    pub time_s: u64,
    pub signature: Vec<u8>,
}

/// What a node signed of its own log, with the signatures of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCheckpoint {
    pub at: AuditSize,
    pub signature: Vec<u8>,
    /// When it was proposed: milliseconds since 1970 UTC.
    pub proposed_at_ms: u64,
    pub cosignatures: Vec<AuditCosignature>,
}

/// A log, as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLogRecord {
    pub name: AuditLogName,
    /// The Ed25519 key that the log's checkpoints are signed with, and others' by this node.
    pub public_key: [u8; 32],
    /// The log before it, if its node had lost or left one.
    pub before: Option<AuditPredecessor>,
    /// When it was registered: milliseconds since 1970 UTC.
    pub registered_at_ms: u64,
    /// The log that its node registered after it.
    pub followed_by: Option<AuditLogId>,
    /// The newest checkpoints, oldest first.
    pub checkpoints: Vec<AuditCheckpoint>,
    /// The day of the last checkpoint that was put to the older ones, and the number of these.
    older: (u64, u32),
}

impl AuditLogRecord {
    /// One of which nothing is known but its key.
    pub fn new(
        name: AuditLogName,
        public_key: [u8; 32],
        before: Option<AuditPredecessor>,
        registered_at_ms: u64,
    ) -> Self {
        let (followed_by, checkpoints) = (None, Vec::new());
        Self { name, public_key, before, registered_at_ms, followed_by, checkpoints, older: (0, 0) }
    }

    /// The newest checkpoint.
    pub fn last(&self) -> Option<&AuditCheckpoint> {
        self.checkpoints.last()
    }

    /// The newest checkpoint that another node has cosigned.
    pub fn last_cosigned(&self) -> Option<&AuditCheckpoint> {
        self.checkpoints.iter().rev().find(|checkpoint| !checkpoint.cosignatures.is_empty())
    }

    /// The newest checkpoint that this node has cosigned.
    pub fn last_cosigned_by(&self, node: NodeId) -> Option<&AuditCheckpoint> {
        let by_node = |checkpoint: &&AuditCheckpoint| {
            checkpoint.cosignatures.iter().any(|cosignature| cosignature.by.node == node)
        };
        self.checkpoints.iter().rev().find(by_node)
    }
}

/// What a node says of audit logs. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditLogChange {
    /// This is the log that the node writes now.
    Register { name: AuditLogName, public_key: [u8; 32], before: Option<AuditPredecessor> },
    /// The node's log has grown to this.
    PutCheckpoint { name: AuditLogName, at: AuditSize, signature: Vec<u8> },
    /// A node has checked another one's log up to this.
    Cosign { name: AuditLogName, at: AuditSize, cosignature: AuditCosignature },
}

impl AuditLogChange {
    /// No signature is longer, in bytes.
    pub const SIGNATURE_BYTES_MAX: usize = 64;

    /// The node that says it.
    pub const fn node(&self) -> NodeId {
        match self {
            Self::Register { name, .. } | Self::PutCheckpoint { name, .. } => name.node,
            Self::Cosign { cosignature, .. } => cosignature.by.node,
        }
    }

    /// The signature that it carries.
    pub fn signature(&self) -> &[u8] {
        match self {
            Self::Register { .. } => &[],
            Self::PutCheckpoint { signature, .. } => signature,
            Self::Cosign { cosignature, .. } => &cosignature.signature,
        }
    }

    /// What it does, as the log names it.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Register { .. } => "register-audit-log",
            Self::PutCheckpoint { .. } => "put-audit-checkpoint",
            Self::Cosign { .. } => "cosign-audit-checkpoint",
        }
    }
}

/// Why the record of a log is not changed. Variants are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AuditLogRefusal {
    #[error("the cluster knows this log by another key")]
    OtherKey,
    #[error("the node has registered too many logs")]
    TooManyLogs,
    #[error("the cluster does not know this log")]
    NoLog,
    #[error("the node has begun another log since")]
    Followed,
    /// The log is shorter than a checkpoint of it.
    #[error("the log had {size} events before")]
    Shrunk { size: u64 },
    /// Another checkpoint of the same size has another root.
    #[error("the log had other events before")]
    Forked,
    #[error("a node does not cosign its own log")]
    OwnLog,
    /// It is not kept any more, or was never put.
    #[error("there is no such checkpoint")]
    NoCheckpoint,
}

pub(super) fn change<T: Tables>(
    run: &mut Transaction<'_, T>,
    change: &AuditLogChange,
    now_ms: u64,
) -> Result<Response, StateError> {
    let changed = match change {
        AuditLogChange::Register { name, public_key, before } => {
            register(run, *name, public_key, *before, now_ms)?
        }
        AuditLogChange::PutCheckpoint { name, at, signature } => {
            put_checkpoint(run, *name, *at, signature, now_ms)?
        }
        AuditLogChange::Cosign { name, at, cosignature } => cosign(run, *name, *at, cosignature)?,
    };
    Ok(changed.unwrap_or_else(Response::AuditLogRefused))
}

type Changed = Result<Response, AuditLogRefusal>;

fn register<T: Tables>(
    run: &mut Transaction<'_, T>,
    name: AuditLogName,
    public_key: &[u8; 32],
    before: Option<AuditPredecessor>,
    now_ms: u64,
) -> Result<Changed, StateError> {
    let removed = |node: NodeRecord| node.removed_at_ms.is_some();
    if nodes::known(run, name.node)?.is_some_and(removed) {
        return Ok(Ok(Response::NodeRemoved));
    }
    if let Some(known) = stored(run, name)? {
        let same = known.public_key == *public_key;
        return Ok(if same { Ok(Response::Unchanged) } else { Err(AuditLogRefusal::OtherKey) });
    }
    let of_node = run.page(Table::Meta, &audit_logs_of(name.node), b"", AUDIT_LOGS_OF_NODE_MAX)?;
    if of_node.len() >= AUDIT_LOGS_OF_NODE_MAX {
        return Ok(Err(AuditLogRefusal::TooManyLogs));
    }
    let current_key = current_audit_log_key(name.node);
    if let Some(log) = run.get::<AuditLogId>(Table::Meta, &current_key)?
        && let Some(last) = stored(run, AuditLogName { log, ..name })?
    {
        store(run, &AuditLogRecord { followed_by: Some(name.log), ..last })?;
    }
    run.put(Table::Meta, &current_key, &name.log)?;
    store(run, &AuditLogRecord::new(name, *public_key, before, now_ms))?;
    Ok(Ok(Response::Done))
}

fn put_checkpoint<T: Tables>(
    run: &mut Transaction<'_, T>,
    name: AuditLogName,
    at: AuditSize,
    signature: &[u8],
    now_ms: u64,
) -> Result<Changed, StateError> {
    let mut record = match stored(run, name)? {
        None => return Ok(Err(AuditLogRefusal::NoLog)),
        Some(record) if record.followed_by.is_some() => return Ok(Err(AuditLogRefusal::Followed)),
        Some(record) => record,
    };
    if let Some(last) = record.last().map(|last| last.at) {
        match last {
            last if at == last => return Ok(Ok(Response::Unchanged)),
            last if at.size == last.size => return Ok(Err(AuditLogRefusal::Forked)),
            last if at.size < last.size => return Ok(Err(AuditLogRefusal::Shrunk { size: last.size })),
            _ => {}
        }
    }
    let (signature, cosignatures) = (signature.to_vec(), Vec::new());
    record.checkpoints.push(AuditCheckpoint { at, signature, proposed_at_ms: now_ms, cosignatures });
    thin(run, &mut record)?;
    store(run, &record)?;
    Ok(Ok(Response::Done))
}

/// Takes the checkpoint away that is worth least, once there are too many.
fn thin<T: Tables>(run: &mut Transaction<'_, T>, record: &mut AuditLogRecord) -> Result<(), StateError> {
    if record.checkpoints.len() <= AUDIT_CHECKPOINTS_MAX {
        return Ok(());
    }
    let newest = record.checkpoints.len() - 1;
    let uncosigned = |checkpoint: &AuditCheckpoint| checkpoint.cosignatures.is_empty();
    let worth_least = record.checkpoints.iter().position(uncosigned).filter(|at| *at < newest).unwrap_or(0);
    let checkpoint = record.checkpoints.remove(worth_least);
    let (last_day, count) = record.older;
    let day = checkpoint.proposed_at_ms / DAY_MS;
    if checkpoint.cosignatures.is_empty() || day == last_day {
        return Ok(());
    }
    run.put(Table::Meta, &older_checkpoint_key(record.name, checkpoint.at.size), &checkpoint)?;
    record.older = (day, count + 1);
    if count >= OLDER_AUDIT_CHECKPOINTS_MAX {
        let oldest = run.page(Table::Meta, &older_checkpoints_of(record.name), b"", 1)?;
        for (key, _) in oldest {
            run.delete(Table::Meta, &key)?;
            record.older.1 = count;
        }
    }
    Ok(())
}

fn cosign<T: Tables>(
    run: &mut Transaction<'_, T>,
    name: AuditLogName,
    at: AuditSize,
    cosignature: &AuditCosignature,
) -> Result<Changed, StateError> {
    let by = cosignature.by;
    if by.node == name.node {
        return Ok(Err(AuditLogRefusal::OwnLog));
    }
    if stored(run, by)?.is_none_or(|own| own.followed_by.is_some()) {
        return Ok(Err(AuditLogRefusal::NoLog));
    }
    let Some(mut record) = stored(run, name)? else {
        return Ok(Err(AuditLogRefusal::NoLog));
    };
    let Some(checkpoint) = record.checkpoints.iter_mut().find(|known| known.at == at) else {
        return Ok(Err(AuditLogRefusal::NoCheckpoint));
    };
    let known = &mut checkpoint.cosignatures;
    if known.iter().any(|known| known.by.node == by.node) || known.len() >= COSIGNATURES_MAX {
        return Ok(Ok(Response::Unchanged));
    }
    known.push(cosignature.clone());
    store(run, &record)?;
    Ok(Ok(Response::Done))
}

fn stored<T: Tables>(
    run: &Transaction<'_, T>,
    name: AuditLogName,
) -> Result<Option<AuditLogRecord>, StateError> {
    run.get(Table::Meta, &audit_log_key(name))
}

fn store<T: Tables>(run: &mut Transaction<'_, T>, record: &AuditLogRecord) -> Result<(), StateError> {
    run.put(Table::Meta, &audit_log_key(record.name), record)
}

/// Every log that was ever registered, by node, and of each node in no order.
///
/// # Errors
/// When the tables cannot be read.
pub fn audit_logs<T: Tables>(tables: &T) -> Result<Vec<AuditLogRecord>, StateError> {
    let pairs = tables.prefix(Table::Meta, META_AUDIT_LOG)?;
    pairs.iter().map(|(_, value)| read(tables, Table::Meta, value)).collect()
}

/// A log.
///
/// # Errors
/// When the tables cannot be read.
pub fn audit_log<T: Tables>(tables: &T, name: AuditLogName) -> Result<Option<AuditLogRecord>, StateError> {
    stored(&Transaction::new(tables), name)
}

/// The log that a node registered last.
///
/// # Errors
/// When the tables cannot be read.
pub fn current_audit_log<T: Tables>(tables: &T, node: NodeId) -> Result<Option<AuditLogRecord>, StateError> {
    let run = Transaction::new(tables);
    match run.get::<AuditLogId>(Table::Meta, &current_audit_log_key(node))? {
        Some(log) => stored(&run, AuditLogName { node, log }),
        None => Ok(None),
    }
}

/// The older checkpoints of a log that are kept, one of a day, oldest first.
///
/// # Errors
/// When the tables cannot be read.
pub fn older_audit_checkpoints<T: Tables>(
    tables: &T,
    name: AuditLogName,
) -> Result<Vec<AuditCheckpoint>, StateError> {
    let pairs = tables.prefix(Table::Meta, &older_checkpoints_of(name))?;
    pairs.iter().map(|(_, value)| read(tables, Table::Meta, value)).collect()
}

/// Whether the cluster keeps audit logs at this position of the log.
///
/// # Errors
/// When the tables cannot be read.
pub fn keeps_audit_logs<T: Tables>(tables: &T) -> Result<bool, StateError> {
    Ok(features::level(&Transaction::new(tables))? >= features::AUDIT_LOGS)
}
