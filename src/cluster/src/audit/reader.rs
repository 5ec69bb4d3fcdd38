//! Answers what is asked of the logs that this node has: its own, and those that ended here.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use keymoot_audit::{AuditLog, EndedLog, LogReader, ProofError, Query, ReadError, ended_logs};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state::AuditLogName;

use crate::audit::merge::merge;
use crate::audit::own_log::{OwnLog, signature_of};
use crate::audit::records::name_of;
use crate::error::ClusterError;
use crate::wire::audit::{
    AuditGap, AuditPage, AuditPosition, AuditReceivers, AuditSearch, ConsistencyReply, ConsistencyRequest,
    EndedHere, EventsPage, EventsQuery, FoundEvent, HeldLog, HeldLogs, NodeReceivers, ReceiverState,
};

/// The most bytes of events in one answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// So long a search goes on before it answers with what it has.
const SEARCH_WITHIN: Duration = Duration::from_secs(3);
/// The most events that are read at once for a copy.
const EVENTS_MAX: u32 = 10_000;

/// Answers what is asked of the logs that this node has. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AuditReader {
    cluster: ClusterName,
    node: NodeId,
    own: Option<OwnLog>,
    /// Those that ended here, once somebody has asked: none ends while the node runs.
    ended: Arc<OnceLock<Vec<(AuditLogName, EndedLog)>>>,
    /// What tells how far the receivers are, once they are sent to.
    receivers: Arc<OnceLock<ReceiverStates>>,
}

/// Tells how far the receivers of a node are.
pub(crate) type ReceiverStates = Box<dyn Fn() -> Vec<ReceiverState> + Send + Sync>;

impl AuditReader {
    /// Of the logs of this node in this cluster, if it writes one.
    pub(crate) fn new(cluster: &ClusterName, node: NodeId, log: AuditLog) -> Self {
        let own = OwnLog::new(cluster, log);
        Self { cluster: cluster.clone(), node, own, ended: Arc::default(), receivers: Arc::default() }
    }

    fn own(&self) -> Result<OwnLog, ClusterError> {
        let none = || ClusterError::Refused("this node writes no audit log".to_owned());
        self.own.clone().ok_or_else(none)
    }

    /// From now on `states` tells how far the receivers of this node are.
    pub(crate) fn has_receivers(&self, states: ReceiverStates) {
        // Receivers are started once.
        drop(self.receivers.set(states));
    }

    /// How far the receivers of this node are.
    pub(crate) fn receivers(&self) -> Result<AuditReceivers, ClusterError> {
        let events = self.own()?.log.size();
        let receivers = self.receivers.get().map(|states| states()).unwrap_or_default();
        let node = NodeReceivers { node: self.node, events, receivers };
        Ok(AuditReceivers { nodes: vec![node], silent: BTreeMap::new() })
    }

    /// The logs of this cluster that ended here. It may read from the disk.
    fn ended(&self) -> &[(AuditLogName, EndedLog)] {
        self.ended.get_or_init(|| {
            let Some(dir) = self.own.as_ref().and_then(|own| own.log.dir()) else { return Vec::new() };
            let named = |log: EndedLog| Some((name_of(&self.cluster, log.origin())?, log));
            ended_logs(dir).into_iter().filter_map(named).collect()
        })
    }

    /// The logs as they are now.
    pub(crate) async fn held(&self) -> Result<HeldLogs, ClusterError> {
        let (own, this) = (self.own()?, self.clone());
        let held = move || {
            let current = this.held_log(own.name, &own.log);
            let ended = this.ended().iter().map(|(name, log)| EndedHere {
                held: HeldLog { ended: true, ..this.held_log(*name, log) },
                key: log.public_key().to_string(),
                // Without those that cannot be read it is known by what the cluster has of it.
                notes: log.checkpoints().unwrap_or_default().iter().map(ToString::to_string).collect(),
            });
            let ended = ended.collect();
            let unwritable = own.log.state().err().map(|unwritable| unwritable.reason);
            HeldLogs { current: HeldLog { unwritable, ..current }, ended }
        };
        tokio::task::spawn_blocking(held).await.map_err(|_| ClusterError::Stopped)
    }

    fn held_log(&self, name: AuditLogName, log: &dyn LogReader) -> HeldLog {
        let (size, first_kept, usage) = (log.size(), log.first_kept(), log.usage());
        HeldLog { name, at: self.node, ended: false, size, first_kept, usage, unwritable: None }
    }

    /// Proves that the log only grew.
    pub(crate) async fn consistency(&self, asked: ConsistencyRequest) -> ConsistencyReply {
        let Ok(own) = self.own() else {
            return ConsistencyReply::Failed("this node writes no audit log".to_owned());
        };
        let proved = tokio::task::spawn_blocking(move || prove(&own, asked)).await;
        proved.unwrap_or_else(|error| ConsistencyReply::Failed(error.to_string()))
    }

    /// Searches the logs.
    pub(crate) async fn search(&self, search: AuditSearch) -> Result<AuditPage, ClusterError> {
        let (own, this) = (self.own()?, self.clone());
        let found = move || {
            let began = Instant::now();
            let mut pages = vec![find(own.name, &own.log, &search, began)?];
            for (name, log) in this.ended() {
                let found = find(*name, log, &search, began);
                pages.push(found.unwrap_or_else(|error| unsearched(*name, &search, &error)));
            }
            Ok(merge(pages, page_events(&search.query), search.query.newest_first))
        };
        let found = tokio::task::spawn_blocking(found).await;
        found.map_err(|_| ClusterError::Stopped)?.map_err(unreadable)
    }

    /// Events as they are on disk.
    pub(crate) async fn events(&self, asked: EventsQuery) -> Result<EventsPage, ClusterError> {
        let (own, this) = (self.own()?, self.clone());
        let read = tokio::task::spawn_blocking(move || {
            if asked.name == own.name {
                return events(&own.log, asked);
            }
            let ended = this.ended().iter().find(|(name, _)| *name == asked.name);
            let none = || {
                let reason = format!("this node writes the audit log {} and has no {}", own.name, asked.name);
                ClusterError::Refused(reason)
            };
            ended.ok_or_else(none).and_then(|(_, log)| events(log, asked))
        });
        read.await.map_err(|_| ClusterError::Stopped)?
    }
}

fn events(log: &dyn LogReader, asked: EventsQuery) -> Result<EventsPage, ClusterError> {
    let EventsQuery { name, from, events_max, .. } = asked;
    let (size, first_kept) = (log.size(), log.first_kept());
    let mut bytes = 0;
    let read = log.read(from, events_max.min(EVENTS_MAX) as usize).map_err(unreadable)?;
    let events = read.into_iter().take_while(|(_, event)| {
        let fits = bytes < ANSWER_BYTES_MAX;
        bytes += event.len();
        fits
    });
    let mut events = events.peekable();
    let from = events.peek().map_or(from.max(first_kept), |(number, _)| *number);
    let events = events.map(|(_, event)| text(&event)).collect();
    let frontier = log.frontier(from).map_err(|error| ClusterError::Refused(error.to_string()))?;
    Ok(EventsPage { name, size, first_kept, from, frontier: frontier.roots().to_vec(), events })
}

fn unreadable(error: ReadError) -> ClusterError {
    let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
    ClusterError::Refused(format!("the audit log of this node cannot be read: {error}{why}"))
}

/// An event on disk is ASCII; whatever else a damaged one is must not stop whoever looks at it.
fn text(event: &[u8]) -> String {
    String::from_utf8_lossy(event).into_owned()
}

fn prove(own: &OwnLog, asked: ConsistencyRequest) -> ConsistencyReply {
    if asked.name != own.name {
        return ConsistencyReply::OtherLog(own.name);
    }
    let (signed, now) = own.signed();
    let size = own.log.size();
    if asked.from > size || asked.to.is_some_and(|to| to > size) {
        return ConsistencyReply::Shorter { size };
    }
    if asked.to.is_none() && asked.from > now.size {
        return ConsistencyReply::Failed("what it has is not signed yet".to_owned());
    }
    let to = asked.to.unwrap_or(now.size);
    match own.log.consistency_proof(asked.from, to) {
        Ok(proof) => ConsistencyReply::Proved {
            at: now,
            signature: signature_of(&signed, own.log.public_key()).unwrap_or_default().to_vec(),
            proof: proof.iter().map(|hash| *hash.as_bytes()).collect(),
        },
        Err(ProofError::OutOfRange { size, .. }) => ConsistencyReply::Shorter { size },
        Err(error) => ConsistencyReply::Failed(error.to_string()),
    }
}

fn find(
    name: AuditLogName,
    log: &dyn LogReader,
    search: &AuditSearch,
    began: Instant,
) -> Result<AuditPage, ReadError> {
    // What is appended meanwhile is for the next search.
    let size = log.size();
    let mut page = AuditPage { sizes: vec![(name, size)], ..AuditPage::default() };
    let known = search.positions.iter().find(|position| position.name == name);
    let forward = !search.query.newest_first;
    let mut query = Query { cursor: known.and_then(|known| known.next), ..search.query.clone() };
    if known.is_some_and(|known| known.next.is_none()) {
        page.positions.push(AuditPosition { name, next: None });
        return Ok(page);
    }
    let limit = page_events(&query);
    let mut bytes = 0;
    let next = loop {
        query.limit = limit - page.events.len();
        let found = log.search(&query)?;
        if known.is_none() && query.cursor.is_none() {
            page.missing.extend(deleted(name, log, &query, found.first_kept));
        }
        for event in found.events {
            bytes += event.bytes.len();
            let event = FoundEvent { name, number: event.number, event: text(&event.bytes) };
            page.events.push(event);
        }
        query.cursor = found.next;
        if found.next.is_none()
            || page.events.len() >= limit
            || bytes > ANSWER_BYTES_MAX
            || began.elapsed() > SEARCH_WITHIN
        {
            break found.next;
        }
    };
    page.more = next.is_some();
    let last = page.events.last().map_or(0, |last| last.number.saturating_add(1));
    let from = known.and_then(|known| known.next).unwrap_or_default();
    let end = forward.then(|| size.max(last).max(from));
    page.positions.push(AuditPosition { name, next: next.or(end) });
    Ok(page)
}

/// The events that were deleted before they could be searched, if the search would have come to them.
fn deleted(name: AuditLogName, log: &dyn LogReader, query: &Query, first_kept: u64) -> Option<AuditGap> {
    let oldest_ms = log.usage().oldest_ms;
    let why = "they were older than the retention and were deleted; their hashes are kept";
    (first_kept > 0 && query.from_ms.is_none_or(|from| from < oldest_ms))
        .then(|| AuditGap::of(name, 0, Some(first_kept), why))
}

/// A log that ended here and cannot be read, which may be why it ended. It hides none of the others.
fn unsearched(name: AuditLogName, search: &AuditSearch, error: &ReadError) -> AuditPage {
    let known = search.positions.iter().find(|position| position.name == name);
    // It is told once, and not tried again with each page.
    let why = format!("the log ended, and is damaged: {error}; see keymoot audit verify");
    let missing = known.is_none().then(|| AuditGap::of(name, 0, None, why));
    let position = AuditPosition { name, next: None };
    AuditPage {
        positions: vec![position],
        missing: missing.into_iter().collect(),
        // What the cluster knows of it beyond that is not missing once more.
        sizes: vec![(name, u64::MAX)],
        ..AuditPage::default()
    }
}

/// How many events a page has at most.
pub(super) fn page_events(query: &Query) -> usize {
    if query.limit == 0 { Query::LIMIT_MAX } else { query.limit.min(Query::LIMIT_MAX) }
}
