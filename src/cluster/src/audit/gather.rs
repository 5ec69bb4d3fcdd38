//! What all logs of the cluster have, gathered by the node that is asked: in the order of time, with what is missing
//! named.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_audit::{Event, Hash};
use keymoot_model::{ClusterName, NodeId};
use keymoot_state as state;
use keymoot_state::{AuditLogRecord, AuditPredecessor, NodeRecord};

use crate::audit::reader::{AuditReader, page_events};
use crate::audit::records::{cosigned, keys, origin};
use crate::error::ClusterError;
use crate::members::membership::Members;
use crate::peer::peers::Peers;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::wire::admin::{AdminRequest, AdminResponse};
use crate::wire::audit::{
    AuditGap, AuditLogs, AuditPage, AuditPosition, AuditSearch, FoundEvent, HeldLog, KnownCheckpoint,
    KnownLog, KnownSize,
};
use crate::wire::message::{Reply, Request};
use crate::write::clock::now_ms;

/// How long another node may take to answer; less than whoever asked waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// How long a quorum may take to say that it is there.
const QUORUM_WITHIN: Duration = Duration::from_secs(2);

/// Gathers from all nodes.
pub(crate) struct AuditGathering {
    pub cluster: ClusterName,
    pub reader: AuditReader,
    pub members: Arc<Members>,
    pub peers: Peers,
    pub state: StateView,
    pub barrier: Arc<ReadBarrier>,
    pub node: NodeId,
}

impl AuditGathering {
    /// Every log that the cluster knows. It is answered without a quorum, too.
    pub(crate) async fn logs(&self) -> Result<AuditLogs, ClusterError> {
        let records = state::audit_logs(&self.state)?;
        let removed = removed(&state::nodes(&self.state)?);
        // A leader that lost its quorum knows of it when it asks.
        let asked = self.barrier.wait(Instant::now() + QUORUM_WITHIN);
        let (held, quorum) = futures::future::join(self.held(), asked).await;
        let keys = keys(&self.cluster, &records);
        let mut logs = Vec::with_capacity(records.len());
        for record in records {
            let Some(key) = keys.get(&record.name) else { continue };
            let older = state::older_audit_checkpoints(&self.state, record.name)?;
            let kept = older.iter().chain(&record.checkpoints);
            let checkpoints = kept.filter_map(|kept| {
                let (note, cosigned_by) = cosigned(key, kept, &keys)?;
                let (size, root) = (kept.at.size, Hash::from_bytes(kept.at.root));
                let (note, proposed_at_ms) = (note.to_string(), kept.proposed_at_ms);
                Some(KnownCheckpoint { size, root, proposed_at_ms, note, cosigned_by })
            });
            let (held, not_held) = match held_of(&record, &held) {
                Ok(held) => (Some(held), None),
                Err(why) => (None, Some(why)),
            };
            logs.push(KnownLog {
                name: record.name,
                origin: origin(&self.cluster, record.name),
                key: key.to_string(),
                cosigner_key: key.cosigner_text(),
                registered_at_ms: record.registered_at_ms,
                before: record.before.map(|AuditPredecessor { name, last }| KnownSize {
                    name,
                    size: last.size,
                    root: Hash::from_bytes(last.root),
                }),
                followed_by: record.followed_by,
                removed: removed.contains(&record.name.node),
                checkpoints: checkpoints.collect(),
                held,
                not_held,
            });
        }
        logs.sort_by_key(|log| (log.name.node, log.registered_at_ms));
        Ok(AuditLogs {
            cluster: self.cluster.as_str().to_owned(),
            asked: self.node,
            clock_ms: now_ms(),
            quorum: quorum.is_ok(),
            logs,
        })
    }

    /// The log of each member, or why it is not known.
    async fn held(&self) -> BTreeMap<NodeId, Result<HeldLog, String>> {
        let asked = self.member_ids().into_iter().map(|id| async move {
            let held = match self.ask(id, AdminRequest::AuditLog).await {
                Ok(AdminResponse::AuditLog(held)) => Ok(*held),
                Ok(_) => Err("it answered another question".to_owned()),
                Err(error) => Err(error),
            };
            (id, held)
        });
        futures::future::join_all(asked).await.into_iter().collect()
    }

    /// Searches the logs of all members.
    pub(crate) async fn search(&self, search: AuditSearch) -> Result<AuditPage, ClusterError> {
        let records = state::audit_logs(&self.state)?;
        let own = AuditSearch { everywhere: false, ..search.clone() };
        let asked = self.member_ids().into_iter().map(|id| {
            let own = own.clone();
            async move {
                let page = match self.ask(id, AdminRequest::AuditSearch(Box::new(own))).await {
                    Ok(AdminResponse::AuditFound(page)) => Ok(*page),
                    Ok(_) => Err("it answered another question".to_owned()),
                    Err(error) => Err(error),
                };
                (id, page)
            }
        });
        let answers: BTreeMap<_, _> = futures::future::join_all(asked).await.into_iter().collect();
        let mut missing = Vec::new();
        let mut pages = Vec::new();
        for record in &records {
            missing.extend(gap(record, &records, &answers, &search));
        }
        for page in answers.into_values().flatten() {
            missing.extend(page.missing.iter().cloned());
            pages.push(page);
        }
        let mut merged = merge(pages, page_events(&search.query), search.query.newest_first);
        missing.sort_by_key(|gap| (gap.name, gap.from));
        merged.missing = missing;
        // Where a log could not be asked, the next page asks for it from the same place.
        for position in search.positions {
            if !merged.positions.iter().any(|known| known.name == position.name) {
                merged.positions.push(position);
            }
        }
        Ok(merged)
    }

    fn member_ids(&self) -> BTreeSet<NodeId> {
        self.members.membership().nodes().map(|(id, _)| *id).chain([self.node]).collect()
    }

    /// Asks a member, this node among them.
    async fn ask(&self, id: NodeId, request: AdminRequest) -> Result<AdminResponse, String> {
        if id == self.node {
            return self.answer(request).await.map_err(|error| error.to_string());
        }
        let link = self.peers.requests(id).ok_or_else(|| "its address is not known".to_owned())?;
        match link.call(Request::Admin(request), ANSWER_WITHIN).await {
            Ok(Reply::Admin(AdminResponse::Refused(reason)) | Reply::Failed(reason)) => Err(reason),
            Ok(Reply::Admin(answer)) => Ok(answer),
            Ok(_) => Err("it answered another question".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Answers of this node alone.
    async fn answer(&self, request: AdminRequest) -> Result<AdminResponse, ClusterError> {
        match request {
            AdminRequest::AuditSearch(search) => {
                self.reader.search(*search).await.map(|page| AdminResponse::AuditFound(Box::new(page)))
            }
            _ => self.reader.held().map(|held| AdminResponse::AuditLog(Box::new(held))),
        }
    }
}

fn removed(nodes: &[NodeRecord]) -> BTreeSet<NodeId> {
    nodes.iter().filter(|node| node.removed_at_ms.is_some()).map(|node| node.id).collect()
}

fn held_of(
    record: &AuditLogRecord,
    held: &BTreeMap<NodeId, Result<HeldLog, String>>,
) -> Result<HeldLog, String> {
    match held.get(&record.name.node) {
        None => Err("its node is no member".to_owned()),
        Some(Err(error)) => Err(error.clone()),
        Some(Ok(held)) if held.name == record.name => Ok(held.clone()),
        Some(Ok(held)) => Err(format!("its node writes {} now", held.name)),
    }
}

/// The events of a log that could not be searched, if the search would have come to any.
fn gap(
    record: &AuditLogRecord,
    all: &[AuditLogRecord],
    answers: &BTreeMap<NodeId, Result<AuditPage, String>>,
    search: &AuditSearch,
) -> Option<AuditGap> {
    let name = record.name;
    let known = record.last().map_or(0, |last| last.at.size);
    let position = search.positions.iter().find(|position| position.name == name);
    let to = known;
    let missing = |from: u64, why: String| (from < to).then_some(AuditGap { name, from, to, why });
    let begins = position.and_then(|position| position.next).unwrap_or_default();
    let here = answers.get(&name.node).and_then(|answer| answer.as_ref().ok());
    let searched = here.and_then(|page| page.positions.iter().find(|position| position.name == name));
    if let Some(searched) = searched {
        let end = searched.next.filter(|_| !search.query.newest_first && here.is_some_and(|page| !page.more));
        let gone = || format!("they are gone from the log at node {}; see keymoot audit verify", name.node);
        return end.and_then(|end| missing(end, gone()));
    }
    let follower =
        all.iter().find(|other| Some(other.name.log) == record.followed_by && other.name.node == name.node);
    let ended_before = |from: u64| follower.is_some_and(|follower| follower.registered_at_ms < from);
    if search.query.from_ms.is_some_and(ended_before)
        || search.query.to_ms.is_some_and(|to| record.registered_at_ms >= to)
    {
        return None;
    }
    match answers.get(&name.node) {
        Some(Err(error)) => missing(begins, format!("node {} does not answer: {error}", name.node)),
        // What is not served by a member is the same on each page: it is told once.
        _ if position.is_some() || !search.positions.is_empty() => None,
        None => {
            missing(0, format!("node {} is no member any more, and its log was not kept here", name.node))
        }
        Some(Ok(_)) => {
            missing(0, format!("node {} writes another log since, and does not serve this one", name.node))
        }
    }
}

/// One log's events that were found, and where it goes on.
struct Run {
    events: VecDeque<(u64, FoundEvent)>,
    position: AuditPosition,
    more: bool,
}

/// Merges by time what was found in each log, whose own order stays. It ends where a log that has more to come has
/// nothing left here, because what comes may be next.
fn merge(pages: Vec<AuditPage>, limit: usize, newest_first: bool) -> AuditPage {
    let mut runs: Vec<Run> = pages
        .into_iter()
        .filter_map(|page| {
            let position = *page.positions.first()?;
            let timed = page.events.into_iter().map(|event| (time_of(&event), event));
            Some(Run { events: timed.collect(), position, more: page.more })
        })
        .collect();
    let mut merged = AuditPage::default();
    while merged.events.len() < limit {
        if runs.iter().any(|run| run.more && run.events.is_empty()) {
            break;
        }
        let heads = runs.iter_mut().filter(|run| !run.events.is_empty());
        let time = |run: &Run| run.events.front().map_or(0, |(time_ms, _)| *time_ms);
        let next = match newest_first {
            // Of two at the same time the one of the first log comes first, as always.
            true => heads.reduce(|first, other| if time(other) > time(first) { other } else { first }),
            false => heads.reduce(|first, other| if time(other) < time(first) { other } else { first }),
        };
        let Some((_, event)) = next.and_then(|run| run.events.pop_front()) else { break };
        merged.events.push(event);
    }
    for run in runs {
        let left = run.events.front().map(|(_, event)| event.number);
        merged.more |= run.more || left.is_some();
        merged.positions.push(AuditPosition { next: left.or(run.position.next), ..run.position });
    }
    merged
}

/// When it happened. One that does not read is shown where it stands.
fn time_of(event: &FoundEvent) -> u64 {
    Event::decode(event.event.as_bytes()).map_or(0, |event| event.time_ms)
}

#[cfg(test)]
mod tests {
    use keymoot_audit::{Action, Actor, Outcome, Query};
    use keymoot_state::{AuditCheckpoint, AuditLogId, AuditLogName, AuditSize};
    use proptest::prelude::*;

    use super::*;

    fn name(node: NodeId) -> AuditLogName {
        AuditLogName { node, log: AuditLogId::from_bytes([1; 8]) }
    }

    fn found(node: NodeId, number: u64, time_ms: u64) -> FoundEvent {
        let event = Event::new(node, time_ms, Action::KEY_READ, Outcome::Done, Actor::SYSTEM);
        FoundEvent { name: name(node), number, event: String::from_utf8(event.encode().unwrap()).unwrap() }
    }

    fn page(node: NodeId, times: &[u64], next: Option<u64>) -> AuditPage {
        let events = (0..).zip(times).map(|(number, time_ms)| found(node, number, *time_ms)).collect();
        let end = times.len() as u64;
        let position = AuditPosition { name: name(node), next: Some(next.unwrap_or(end)) };
        AuditPage { events, positions: vec![position], more: next.is_some(), missing: Vec::new() }
    }

    fn order(page: &AuditPage) -> Vec<(NodeId, u64)> {
        page.events.iter().map(|event| (event.name.node, event.number)).collect()
    }

    #[test]
    fn events_of_all_logs_come_in_the_order_of_time_and_each_log_goes_on_where_it_stopped() {
        let pages = vec![page(1, &[10, 40], None), page(2, &[20, 30, 50], None)];
        let merged = merge(pages.clone(), 3, false);
        assert_eq!(order(&merged), [(1, 0), (2, 0), (2, 1)]);
        assert_eq!(merged.positions.iter().map(|at| at.next).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert!(merged.more);
        let whole = merge(pages, 10, false);
        assert_eq!(order(&whole), [(1, 0), (2, 0), (2, 1), (1, 1), (2, 2)]);
        assert!(!whole.more);
        assert_eq!(whole.positions.iter().map(|at| at.next).collect::<Vec<_>>(), [Some(2), Some(3)]);
    }

    #[test]
    fn nothing_comes_before_what_another_log_may_still_have() {
        let merged = merge(vec![page(1, &[10], Some(7)), page(2, &[5, 20], None)], 10, false);
        assert_eq!(order(&merged), [(2, 0), (1, 0)]);
        assert!(merged.more);
        assert_eq!(merged.positions.iter().map(|at| at.next).collect::<Vec<_>>(), [Some(7), Some(1)]);
    }

    proptest! {
        #[test]
        fn page_by_page_every_event_comes_once(
            times in proptest::collection::vec(proptest::collection::vec(0_u64..50, 0..20), 1..4),
            limit in 1_usize..7,
        ) {
            let mut from = vec![0_usize; times.len()];
            let mut seen = Vec::new();
            loop {
                let pages = times.iter().zip(&from).zip(1..).map(|((times, from), node)| {
                    let rest: Vec<_> = (0..).zip(times).skip(*from).collect();
                    let shown = rest.iter().take(limit);
                    let events: Vec<_> = shown.map(|(number, time_ms)| found(node, *number, **time_ms)).collect();
                    let more = rest.len() > limit;
                    let next = from + events.len();
                    let position = AuditPosition { name: name(node), next: Some(next as u64) };
                    AuditPage { events, positions: vec![position], more, missing: Vec::new() }
                });
                let merged = merge(pages.collect(), limit, false);
                seen.extend(order(&merged));
                for (at, position) in from.iter_mut().zip(&merged.positions) {
                    *at = position.next.unwrap() as usize;
                }
                if !merged.more {
                    break;
                }
                prop_assert!(!merged.events.is_empty());
            }
            let mut all: Vec<_> = times.iter().zip(1..).flat_map(|(times, node)| {
                (0..times.len() as u64).map(move |number| (node, number))
            }).collect();
            seen.sort_unstable();
            all.sort_unstable();
            prop_assert_eq!(seen, all);
        }
    }

    fn record(node: NodeId, size: u64) -> AuditLogRecord {
        let at = AuditSize { size, root: [0; 32] };
        let checkpoint =
            AuditCheckpoint { at, signature: Vec::new(), proposed_at_ms: 5, cosignatures: Vec::new() };
        let mut record = AuditLogRecord::new(name(node), [0; 32], None, 5);
        record.checkpoints.push(checkpoint);
        record
    }

    #[test]
    fn what_a_silent_node_is_known_to_have_is_named_and_what_was_searched_is_not() {
        let all = [record(1, 9), record(2, 9)];
        let answers = BTreeMap::from([(1, Err("nobody is there".to_owned())), (2, Ok(page(2, &[1], None)))]);
        let search = AuditSearch { query: Query::default(), positions: Vec::new(), everywhere: true };
        let found = gap(&all[0], &all, &answers, &search).unwrap();
        assert_eq!((found.from, found.to), (0, 9));
        assert!(found.why.contains("node 1 does not answer: nobody is there"), "{}", found.why);
        assert_eq!(gap(&record(2, 1), &all, &answers, &search), None);
        // Its node has fewer events than it had.
        let cut = gap(&all[1], &all, &answers, &search).unwrap();
        assert_eq!((cut.from, cut.to), (1, 9));
        assert!(cut.why.contains("gone from the log at node 2"), "{}", cut.why);
        let begun = AuditSearch { positions: vec![AuditPosition { name: name(1), next: Some(9) }], ..search };
        assert_eq!(gap(&all[0], &all, &answers, &begun), None);
        let gone = BTreeMap::from([(2, Ok(page(2, &[1], None)))]);
        let first = AuditSearch { positions: Vec::new(), ..begun };
        assert!(gap(&all[0], &all, &gone, &first).unwrap().why.contains("no member any more"));
    }
}
