//! What nodes and tools ask about audit logs, and the answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use keymoot_audit::{Hash, Query, Usage};
use keymoot_model::NodeId;
use keymoot_state::{AuditLogId, AuditLogName, AuditSize};

/// A node asks another one to prove that its log only grew. Witnesses ask, too: the answer holds hashes and no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConsistencyRequest {
    pub name: AuditLogName,
    /// How long the log was when the asker last checked it.
    pub from: u64,
    /// How long it is said to have become; `None`: as long as it is now.
    pub to: Option<u64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ConsistencyReply {
    Proved {
        /// The end of what is proved, as the log's node signed it. Of a size that was asked for only the proof counts.
        at: AuditSize,
        signature: Vec<u8>,
        proof: Vec<[u8; 32]>,
    },
    /// The node writes another log.
    OtherLog(AuditLogName),
    /// The log is not as long as that.
    Shorter {
        size: u64,
    },
    Failed(String),
}

/// The logs that a node has: the one that it writes, and those that ended there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldLogs {
    pub current: HeldLog,
    pub ended: Vec<EndedHere>,
}

/// A log that ended at a node, which may be the log of the node that the data directory was of before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedHere {
    pub held: HeldLog,
    /// The key that lies beside it.
    pub key: String,
    /// The checkpoints that lie beside it, as signed notes.
    pub notes: Vec<String>,
}

/// A log as a node has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldLog {
    pub name: AuditLogName,
    /// The node that has it.
    pub at: NodeId,
    /// Whether it ended there, and nothing is written to it any more.
    pub ended: bool,
    /// How many events it has.
    pub size: u64,
    /// The first that was not deleted.
    pub first_kept: u64,
    #[serde(with = "as_json")]
    pub usage: Usage,
    /// Why no event can be written now.
    pub unwritable: Option<String>,
}

/// Every log that the cluster knows, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditLogs {
    pub cluster: String,
    /// The node that was asked.
    pub asked: NodeId,
    /// Its clock: milliseconds since 1970 UTC.
    pub clock_ms: u64,
    /// Whether it is in contact with a quorum. Without one nothing is cosigned.
    pub quorum: bool,
    /// By node, the oldest first.
    pub logs: Vec<KnownLog>,
    /// The members that write a log which the cluster does not know, and why.
    pub unknown: BTreeMap<NodeId, String>,
}

/// A log that the cluster knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownLog {
    pub name: AuditLogName,
    /// What its checkpoints name it by.
    pub origin: String,
    /// The key that its checkpoints are verified with, as C2SP's signed notes have it.
    pub key: String,
    /// The same as the key of a cosigner.
    pub cosigner_key: String,
    /// Milliseconds since 1970 UTC; 0: the cluster does not know it, and what is said of it lies beside it.
    pub registered_at_ms: u64,
    /// The log before it, if its node had lost or left one.
    pub before: Option<KnownSize>,
    pub followed_by: Option<AuditLogId>,
    /// Whether its node was removed from the cluster.
    pub removed: bool,
    /// The kept checkpoints, oldest first.
    pub checkpoints: Vec<KnownCheckpoint>,
    /// The log as its node has it now.
    pub held: Option<HeldLog>,
    /// Why that is not known.
    pub not_held: Option<String>,
}

impl KnownLog {
    /// The newest checkpoint that another node cosigned.
    pub fn last_cosigned(&self) -> Option<&KnownCheckpoint> {
        self.checkpoints.iter().rev().find(|checkpoint| !checkpoint.cosigned_by.is_empty())
    }

    /// How long it was known to be, by the newest checkpoint.
    pub fn known_size(&self) -> u64 {
        self.checkpoints.last().map_or(0, |checkpoint| checkpoint.size)
    }
}

/// How far a log had grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSize {
    pub name: AuditLogName,
    /// The number of its events.
    pub size: u64,
    pub root: Hash,
}

/// A checkpoint that the cluster keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownCheckpoint {
    /// The number of events.
    pub size: u64,
    pub root: Hash,
    pub proposed_at_ms: u64,
    /// The signed note, with every signature that holds.
    pub note: String,
    /// The nodes whose cosignatures hold, and when they signed: seconds since 1970 UTC.
    pub cosigned_by: BTreeMap<NodeId, u64>,
}

/// A search over the logs of all nodes, or of the one that is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSearch {
    /// What events must have. Its cursor is not used.
    #[serde(with = "as_json")]
    pub query: Query,
    /// Where to go on in each log, as the page before said; a log that is not named begins at its end that is nearer
    /// in time.
    pub positions: Vec<AuditPosition>,
    /// Also ask the other nodes.
    pub everywhere: bool,
}

impl AuditSearch {
    /// What is searched for, in words for the audit.
    pub fn object(&self) -> String {
        let query = Query { newest_first: false, cursor: None, limit: 0, ..self.query.clone() };
        let Ok(serde_json::Value::Object(members)) = serde_json::to_value(query) else {
            return String::new();
        };
        let told = members.iter().filter(|(name, _)| !["newest_first", "limit"].contains(&name.as_str()));
        let told = told.map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() { "everything".to_owned() } else { told.join(" ") }
    }
}

/// The number of the event of a log that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPosition {
    pub name: AuditLogName,
    /// `None`: nothing comes next, however the log grows.
    pub next: Option<u64>,
}

/// Some of what a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// In the order of time.
    pub events: Vec<FoundEvent>,
    /// Where each log goes on, also for a search of what is written from now on.
    pub positions: Vec<AuditPosition>,
    /// Whether there is more.
    pub more: bool,
    /// What could not be searched.
    pub missing: Vec<AuditGap>,
    /// How many events each log has that was searched, as its node has it.
    pub sizes: Vec<(AuditLogName, u64)>,
}

/// Positions that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no mark of a page: give it as the page before has it")]
pub struct AuditMarkError;

/// Where every log goes on, as a text for whoever asks for the next page: `NODE/LOG:NUMBER`, with commas between.
pub fn audit_mark(positions: &[AuditPosition]) -> String {
    let each = positions.iter().map(|AuditPosition { name, next }| match next {
        Some(next) => format!("{name}:{next}"),
        None => format!("{name}:end"),
    });
    each.collect::<Vec<_>>().join(",")
}

/// The positions in such a text.
///
/// # Errors
/// [`AuditMarkError`] when it is none.
pub fn audit_positions(mark: &str) -> Result<Vec<AuditPosition>, AuditMarkError> {
    let position = |text: &str| {
        let (name, next) = text.split_once(':')?;
        let (node, log) = name.split_once('/')?;
        let name = AuditLogName { node: node.parse().ok()?, log: log.parse().ok()? };
        let next = if next == "end" { None } else { Some(next.parse().ok()?) };
        Some(AuditPosition { name, next })
    };
    let parts = mark.split(',').filter(|part| !part.is_empty());
    parts.map(position).collect::<Option<_>>().ok_or(AuditMarkError)
}

/// An event that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundEvent {
    pub name: AuditLogName,
    pub number: u64,
    /// The event as it is on disk: JSON in one line of ASCII.
    pub event: String,
}

/// Events that could not be searched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditGap {
    /// The node that wrote them.
    pub node: NodeId,
    /// Their log; `None`: the node has told the cluster of none yet.
    pub log: Option<AuditLogId>,
    /// The first of them.
    pub from: u64,
    /// How many events the log is known to have; there may be more. `None`: whatever there is from `from` on.
    pub to: Option<u64>,
    pub why: String,
}

impl AuditGap {
    /// Of a log that is known.
    pub(crate) fn of(name: AuditLogName, from: u64, to: Option<u64>, why: impl Into<String>) -> Self {
        Self { node: name.node, log: Some(name.log), from, to, why: why.into() }
    }
}

/// Asks a node that has a log for events as they are on disk, and of those that it has deleted for their hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsQuery {
    pub name: AuditLogName,
    /// The node that has it, which is another one than the log's where a data directory went on as another node's.
    pub at: NodeId,
    pub from: u64,
    pub events_max: u32,
}

/// Events as they are on disk, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsPage {
    pub name: AuditLogName,
    /// How many events the log has.
    pub size: u64,
    /// The first that was not deleted.
    pub first_kept: u64,
    /// The number of the first of `events`.
    pub from: u64,
    /// The roots of the complete subtrees that the events before `from` make up, the largest first.
    pub frontier: Vec<Hash>,
    pub events: Vec<String>,
}

/// The receivers of the audit at all nodes, or at the one that is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReceivers {
    pub nodes: Vec<NodeReceivers>,
    /// The nodes that do not answer, and why.
    pub silent: BTreeMap<NodeId, String>,
}

/// The receivers that a node sends its log to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReceivers {
    pub node: NodeId,
    /// How many events its log has.
    pub events: u64,
    pub receivers: Vec<ReceiverState>,
}

/// How far a receiver is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverState {
    pub name: String,
    /// Where it is.
    pub place: String,
    /// It has all events below this number.
    pub acknowledged: u64,
    /// When it last acknowledged some, in milliseconds since 1970 UTC; `None`: not since the node started.
    pub acknowledged_at_ms: Option<u64>,
    /// How many events wait in the node's log for it.
    pub lag_events: u64,
    /// How old the oldest of them is.
    pub lag_s: u64,
    /// Why it gets nothing now.
    pub error: Option<String>,
    /// For how long that has been so.
    pub troubled_s: Option<u64>,
}

/// A value whose fields are written only where they have something to say, which only JSON can read back.
mod as_json {
    use serde::de::DeserializeOwned;
    use serde::ser::Error as _;
    use serde::{Deserialize as _, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return value.serialize(serializer);
        }
        serde_json::to_string(value).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: DeserializeOwned, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        if from.is_human_readable() {
            return T::deserialize(from);
        }
        serde_json::from_str(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use keymoot_codec as codec;
    use keymoot_codec::Kind;

    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_bent_one_is_refused() {
        let name = |node| AuditLogName { node, log: AuditLogId::from_bytes([7; 8]) };
        let positions =
            [AuditPosition { name: name(1), next: Some(300) }, AuditPosition { name: name(2), next: None }];
        let mark = audit_mark(&positions);
        assert_eq!(mark, "1/0707070707070707:300,2/0707070707070707:end");
        assert_eq!(audit_positions(&mark).unwrap(), positions);
        assert_eq!(audit_positions("").unwrap(), []);
        for bent in ["1", "1/07:3", "x/0707070707070707:3", "1/0707070707070707:-3", "1/0707070707070707"] {
            assert_eq!(audit_positions(bent), Err(AuditMarkError), "{bent}");
        }
    }

    #[test]
    fn the_event_of_a_search_names_what_was_searched_for() {
        let search = |query| AuditSearch { query, positions: Vec::new(), everywhere: true }.object();
        let query = Query { action: Some("key.".to_owned()), from_ms: Some(7), limit: 9, ..Query::default() };
        assert_eq!(search(query), "action=key. from_ms=7");
        assert_eq!(search(Query::default()), "everything");
    }

    #[test]
    fn a_search_goes_between_nodes_whatever_it_leaves_out() {
        for query in [Query::default(), Query { credential: Some("one".to_owned()), ..Query::default() }] {
            let search = AuditSearch { query, positions: Vec::new(), everywhere: true };
            let bytes = codec::encode(Kind::Frame, &search).unwrap();
            assert_eq!(codec::decode::<AuditSearch>(Kind::Frame, &bytes).unwrap(), search);
        }
    }
}
