//! What an answer lacks: it is named by what the cluster knows of each log, never a silent gap.

use std::collections::BTreeMap;

use keymoot_model::NodeId;
use keymoot_state::AuditLogRecord;

use crate::wire::audit::{AuditGap, AuditPage, AuditSearch};

/// What each member answered to a search.
pub(super) type Answers = BTreeMap<NodeId, Result<AuditPage, String>>;

/// The events of a log that could not be searched, if the search would have come to any.
pub(super) fn gap(
    record: &AuditLogRecord,
    all: &[AuditLogRecord],
    answers: &Answers,
    search: &AuditSearch,
) -> Option<AuditGap> {
    let name = record.name;
    let known = record.last().map_or(0, |last| last.at.size);
    let position = search.positions.iter().find(|position| position.name == name);
    let mut sizes = answers.values().flatten().flat_map(|page| &page.sizes);
    if let Some((_, size)) = sizes.find(|(searched, _)| *searched == name) {
        // It is the same on each page: it is told once.
        let is_cut = position.is_none() && *size < known;
        let why = format!("they are gone from the log at node {}; see keymoot audit verify", name.node);
        return is_cut.then(|| AuditGap::of(name, *size, Some(known), why));
    }
    let follower =
        all.iter().find(|other| Some(other.name.log) == record.followed_by && other.name.node == name.node);
    let ended_before = |from: u64| follower.is_some_and(|follower| follower.registered_at_ms < from);
    if search.query.from_ms.is_some_and(ended_before)
        || search.query.to_ms.is_some_and(|to| record.registered_at_ms >= to)
    {
        return None;
    }
    let (from, to) = match position {
        None => (0, known),
        Some(position) if search.query.newest_first => (0, position.next.map_or(0, |next| next + 1)),
        Some(position) => (position.next.unwrap_or(known), known),
    };
    match answers.get(&name.node) {
        Some(Err(error)) => {
            let why = format!("node {} does not answer: {error}", name.node);
            // Whatever it has written since the cluster last heard of it.
            let may_have_grown =
                record.followed_by.is_none() && (position.is_none() || !search.query.newest_first);
            match from < to {
                true => Some(AuditGap::of(name, from, Some(to), why)),
                false => may_have_grown.then(|| AuditGap::of(name, from, None, why)),
            }
        }
        // What is not served by a member is the same on each page: it is told once.
        _ if position.is_some() || !search.positions.is_empty() || known == 0 => None,
        None => {
            let why = format!("node {} is no member any more, and its log was not kept here", name.node);
            Some(AuditGap::of(name, 0, Some(known), why))
        }
        Some(Ok(_)) => {
            let why = format!("node {} writes another log since, and has this one no more", name.node);
            Some(AuditGap::of(name, 0, Some(known), why))
        }
    }
}

/// The members that do not answer and of whose log the cluster knows nothing yet.
pub(super) fn silent(records: &[AuditLogRecord], answers: &Answers) -> Vec<AuditGap> {
    let is_known =
        |id: NodeId| records.iter().any(|record| record.name.node == id && record.followed_by.is_none());
    let silent = answers.iter().filter_map(|(id, answer)| Some((*id, answer.as_ref().err()?)));
    let unknown = silent.filter(|(id, _)| !is_known(*id));
    let gap = |(node, error): (NodeId, &String)| {
        let why = format!("node {node} does not answer, and has told the cluster of no log yet: {error}");
        AuditGap { node, log: None, from: 0, to: None, why }
    };
    unknown.map(gap).collect()
}

#[cfg(test)]
mod tests {
    use keymoot_audit::Query;
    use keymoot_state::{AuditCheckpoint, AuditLogId, AuditLogName, AuditSize};

    use super::*;
    use crate::wire::audit::AuditPosition;

    fn name(node: NodeId) -> AuditLogName {
        AuditLogName { node, log: AuditLogId::from_bytes([1; 8]) }
    }

    fn record(node: NodeId, size: u64) -> AuditLogRecord {
        let at = AuditSize { size, root: [0; 32] };
        let checkpoint =
            AuditCheckpoint { at, signature: Vec::new(), proposed_at_ms: 5, cosignatures: Vec::new() };
        let mut record = AuditLogRecord::new(name(node), [0; 32], None, 5);
        record.checkpoints.push(checkpoint);
        record
    }

    /// A node that answered, whose log has so many events.
    fn page(node: NodeId, size: u64) -> AuditPage {
        AuditPage { sizes: vec![(name(node), size)], ..AuditPage::default() }
    }

    fn search(newest_first: bool, next: Option<Option<u64>>) -> AuditSearch {
        let positions = next.map(|next| AuditPosition { name: name(1), next }).into_iter().collect();
        let query = Query { newest_first, ..Query::default() };
        AuditSearch { query, positions, everywhere: true }
    }

    /// From where to where something is missing.
    fn missing(answers: &Answers, search: &AuditSearch) -> Option<(u64, Option<u64>)> {
        let all = [record(1, 9)];
        gap(&all[0], &all, answers, search).map(|gap| (gap.from, gap.to))
    }

    #[test]
    fn what_a_silent_node_has_is_named_and_so_is_what_it_may_have_written_since() {
        let silent = BTreeMap::from([(1, Err("nobody is there".to_owned()))]);
        let all = [record(1, 9)];
        let told = gap(&all[0], &all, &silent, &search(false, None)).unwrap();
        assert!(told.why.contains("node 1 does not answer: nobody is there"), "{}", told.why);
        assert_eq!(missing(&silent, &search(false, None)), Some((0, Some(9))));
        assert_eq!(missing(&silent, &search(false, Some(Some(4)))), Some((4, Some(9))));
        assert_eq!(missing(&silent, &search(false, Some(Some(9)))), Some((9, None)));
        assert_eq!(missing(&silent, &search(true, None)), Some((0, Some(9))));
        assert_eq!(missing(&silent, &search(true, Some(Some(4)))), Some((0, Some(5))));
        assert_eq!(missing(&silent, &search(true, Some(None))), None);
    }

    #[test]
    fn a_tail_that_is_gone_is_named_in_both_orders_and_once() {
        let cut = BTreeMap::from([(1, Ok(page(1, 7)))]);
        for newest_first in [false, true] {
            assert_eq!(missing(&cut, &search(newest_first, None)), Some((7, Some(9))));
            assert_eq!(missing(&cut, &search(newest_first, Some(Some(3)))), None);
            let whole = BTreeMap::from([(1, Ok(page(1, 12)))]);
            assert_eq!(missing(&whole, &search(newest_first, None)), None);
        }
    }

    #[test]
    fn a_log_that_nobody_has_is_named_and_one_that_ended_elsewhere_is_searched_there() {
        let gone = BTreeMap::from([(2, Ok(page(2, 1)))]);
        assert_eq!(missing(&gone, &search(false, None)), Some((0, Some(9))));
        let other = BTreeMap::from([(1, Ok(AuditPage::default()))]);
        assert_eq!(missing(&other, &search(false, None)), Some((0, Some(9))));
        let moved = BTreeMap::from([(2, Ok(page(1, 9)))]);
        assert_eq!(missing(&moved, &search(false, None)), None);
    }

    #[test]
    fn a_silent_member_that_has_registered_no_log_is_named() {
        let answers = BTreeMap::from([(1, Err("nobody".to_owned())), (2, Err("nobody".to_owned()))]);
        let told = silent(&[record(1, 9)], &answers);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].node, told[0].log, told[0].to), (2, None, None));
    }
}
