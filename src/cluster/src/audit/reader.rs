//! Answers what is asked of this node's own log.

use std::time::{Duration, Instant};

use keymoot_audit::{AuditLog, ProofError, Query, ReadError};
use keymoot_model::ClusterName;

use crate::audit::own_log::{OwnLog, signature_of};
use crate::error::ClusterError;
use crate::wire::audit::{
    AuditGap, AuditPage, AuditPosition, AuditSearch, ConsistencyReply, ConsistencyRequest, EventsPage,
    EventsQuery, FoundEvent, HeldLog,
};

/// The most bytes of events in one answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// So long a search goes on before it answers with what it has.
const SEARCH_WITHIN: Duration = Duration::from_secs(3);
/// The most events that are read at once for a copy.
const EVENTS_MAX: u32 = 10_000;

/// Answers what is asked of this node's own log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AuditReader {
    own: Option<OwnLog>,
}

impl AuditReader {
    /// Of the log of a node in this cluster, if it writes one.
    pub(crate) fn new(cluster: &ClusterName, log: AuditLog) -> Self {
        Self { own: OwnLog::new(cluster, log) }
    }

    fn own(&self) -> Result<OwnLog, ClusterError> {
        let none = || ClusterError::Refused("this node writes no audit log".to_owned());
        self.own.clone().ok_or_else(none)
    }

    /// The log as it is now.
    pub(crate) fn held(&self) -> Result<HeldLog, ClusterError> {
        let OwnLog { log, name, .. } = self.own()?;
        Ok(HeldLog {
            name,
            size: log.size(),
            first_kept: log.first_kept(),
            usage: log.usage(),
            unwritable: log.state().err().map(|unwritable| unwritable.reason),
        })
    }

    /// Proves that the log only grew.
    pub(crate) async fn consistency(&self, asked: ConsistencyRequest) -> ConsistencyReply {
        let Ok(own) = self.own() else {
            return ConsistencyReply::Failed("this node writes no audit log".to_owned());
        };
        let proved = tokio::task::spawn_blocking(move || prove(&own, asked)).await;
        proved.unwrap_or_else(|error| ConsistencyReply::Failed(error.to_string()))
    }

    /// Searches the log.
    pub(crate) async fn search(&self, search: AuditSearch) -> Result<AuditPage, ClusterError> {
        let own = self.own()?;
        let found = tokio::task::spawn_blocking(move || find(&own, &search)).await;
        found.map_err(|_| ClusterError::Stopped)?.map_err(unreadable)
    }

    /// Events as they are on disk.
    pub(crate) async fn events(&self, asked: EventsQuery) -> Result<EventsPage, ClusterError> {
        let OwnLog { log, name, .. } = self.own()?;
        if asked.name != name {
            let reason = format!("this node writes the audit log {name} and has no other one");
            return Err(ClusterError::Refused(reason));
        }
        let max = asked.events_max.min(EVENTS_MAX) as usize;
        let read = tokio::task::spawn_blocking(move || {
            let (size, first_kept) = (log.size(), log.first_kept());
            let mut bytes = 0;
            let events = log.read(asked.from, max)?.into_iter().take_while(|(_, event)| {
                let fits = bytes < ANSWER_BYTES_MAX;
                bytes += event.len();
                fits
            });
            let mut events = events.peekable();
            let from = events.peek().map_or(asked.from, |(number, _)| *number);
            let events = events.map(|(_, event)| text(&event)).collect();
            let frontier = match log.frontier(from) {
                Ok(frontier) => frontier.roots().to_vec(),
                Err(error) => return Ok(Err(ClusterError::Refused(error.to_string()))),
            };
            Ok(Ok(EventsPage { name, size, first_kept, from, frontier, events }))
        });
        read.await.map_err(|_| ClusterError::Stopped)?.map_err(unreadable)?
    }
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

fn find(own: &OwnLog, search: &AuditSearch) -> Result<AuditPage, ReadError> {
    let OwnLog { log, name, .. } = own;
    let mut page = AuditPage::default();
    let known = search.positions.iter().find(|position| position.name == *name);
    let forward = !search.query.newest_first;
    let mut query = Query { cursor: known.and_then(|known| known.next), ..search.query.clone() };
    if known.is_some_and(|known| known.next.is_none()) {
        page.positions.push(AuditPosition { name: *name, next: None });
        return Ok(page);
    }
    let (limit, began) = (page_events(&query), Instant::now());
    let mut bytes = 0;
    // What is appended meanwhile is for the next search.
    let size = log.size();
    let next = loop {
        query.limit = limit - page.events.len();
        let found = log.search(&query)?;
        if known.is_none() && query.cursor.is_none() {
            page.missing.extend(deleted(own, &query, found.first_kept));
        }
        for event in found.events {
            bytes += event.bytes.len();
            let event = FoundEvent { name: *name, number: event.number, event: text(&event.bytes) };
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
    page.positions.push(AuditPosition { name: *name, next: next.or(end) });
    Ok(page)
}

/// The events that were deleted before they could be searched, if the search would have come to them.
fn deleted(own: &OwnLog, query: &Query, first_kept: u64) -> Option<AuditGap> {
    let oldest_ms = own.log.usage().oldest_ms;
    (first_kept > 0 && query.from_ms.is_none_or(|from| from < oldest_ms)).then(|| AuditGap {
        name: own.name,
        from: 0,
        to: first_kept,
        why: "they were older than the retention and were deleted; their hashes are kept".to_owned(),
    })
}

/// How many events a page has at most.
pub(super) fn page_events(query: &Query) -> usize {
    if query.limit == 0 { Query::LIMIT_MAX } else { query.limit.min(Query::LIMIT_MAX) }
}
