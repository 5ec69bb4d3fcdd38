//! Merges what was found in several logs by time.

use std::collections::VecDeque;

use keymoot_audit::Event;

use crate::wire::audit::{AuditPage, AuditPosition, FoundEvent};

/// A page of some logs: its events that are not taken yet, and where the logs go on.
struct Run {
    events: VecDeque<(u64, FoundEvent)>,
    positions: Vec<AuditPosition>,
    more: bool,
}

impl Run {
    /// Where the logs go on if no more events are taken.
    fn positions(self) -> impl Iterator<Item = AuditPosition> {
        let left = self.events;
        self.positions.into_iter().map(move |position| {
            let left = left.iter().find(|(_, event)| event.name == position.name);
            AuditPosition { next: left.map(|(_, event)| event.number).or(position.next), ..position }
        })
    }
}

/// Merges by time pages that are in the order of time themselves, but for that of each log, which stays. It ends where a
/// page that has more to come has nothing left here, because what comes may be next.
pub(super) fn merge(pages: Vec<AuditPage>, limit: usize, newest_first: bool) -> AuditPage {
    let mut merged = AuditPage::default();
    let mut runs = Vec::with_capacity(pages.len());
    for page in pages {
        merged.missing.extend(page.missing);
        merged.sizes.extend(page.sizes);
        let timed = page.events.into_iter().map(|event| (time_of(&event), event));
        runs.push(Run { events: timed.collect(), positions: page.positions, more: page.more });
    }
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
        merged.more |= run.more || !run.events.is_empty();
        merged.positions.extend(run.positions());
    }
    merged
}

/// When it happened. One that does not read is shown where it stands.
fn time_of(event: &FoundEvent) -> u64 {
    Event::decode(event.event.as_bytes()).map_or(0, |event| event.time_ms)
}

#[cfg(test)]
mod tests {
    use keymoot_audit::{Action, Actor, Outcome};
    use keymoot_model::NodeId;
    use keymoot_state::{AuditLogId, AuditLogName};
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
        AuditPage { events, positions: vec![position], more: next.is_some(), ..AuditPage::default() }
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
                    AuditPage { events, positions: vec![position], more, ..AuditPage::default() }
                });
                // A node's page is a merged one itself.
                let mut pages: Vec<_> = pages.collect();
                let first = merge(pages.drain(..pages.len().min(2)).collect(), limit, false);
                let merged = merge([vec![first], pages].concat(), limit, false);
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
}
