//! Intents of earlier runs of this node whose outcome was never written, because the node died in between: whether they
//! were done is told from the state.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_audit::{Action, Actor, AuditLog, Event, LogReader, NodeAudit, Outcome, Query, ReadError};
use keymoot_model::AccountId;
use keymoot_state as state;
use keymoot_state::Tables;

use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;

/// How many are told each by itself. There are no more than requests that were under way.
const TOLD_MAX: usize = 10_000;
/// An outcome comes within minutes of its intent, so no more than this is read.
const LOOK_BACK_MS: u64 = 60 * 60 * 1000;
/// How many events are read at once.
const READ_EVENTS: usize = 1000;
/// For so long a proposal of the last run may be on its way.
const ON_ITS_WAY_FOR: Duration = Duration::from_secs(15);
/// How long a quorum may take to say what the state is, before it is asked again.
const BARRIER_WITHIN: Duration = Duration::from_secs(10);

/// Tells of them, once the state has all that was proposed before the node died.
pub(crate) struct LostOutcomes {
    pub audit: NodeAudit,
    /// How many events there were when the node started.
    pub before: u64,
    pub state: StateView,
    pub barrier: std::sync::Arc<ReadBarrier>,
}

impl LostOutcomes {
    /// Runs until they are told.
    pub(crate) async fn run(self) {
        let (log, before) = (self.audit.log.clone(), self.before);
        let found = tokio::task::spawn_blocking(move || lost(&log, before)).await;
        let found = match found {
            Ok(Ok(found)) if found.is_empty() => return,
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the audit cannot be searched for intents without an outcome");
                return;
            }
            // The runtime ends.
            Err(_) => return,
        };
        tokio::time::sleep(ON_ITS_WAY_FOR).await;
        while self.barrier.wait(Instant::now() + BARRIER_WITHIN).await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tracing::warn!(intents = found.len(), "the node died with intents whose outcome was not written");
        for (number, intent) in found.into_iter().take(TOLD_MAX) {
            self.audit.note(outcome(&self.state, number, &intent, self.audit.node));
        }
    }
}

/// The intents of the last while among the first `before` events that have no outcome, by their numbers.
fn lost(log: &AuditLog, before: u64) -> Result<BTreeMap<u64, Event>, ReadError> {
    let last = before.checked_sub(1).map(|last| LogReader::read(log, last, 1)).transpose()?;
    let last = last.and_then(|read| Event::decode(&read.first()?.1).ok());
    let Some(last) = last else { return Ok(BTreeMap::new()) };
    let mut recent =
        Query { from_ms: Some(last.time_ms.saturating_sub(LOOK_BACK_MS)), limit: 1, ..Query::default() };
    let mut next = loop {
        let page = log.search(&recent)?;
        match (page.events.first(), page.next) {
            (Some(first), _) => break first.number,
            (None, Some(cursor)) => recent.cursor = Some(cursor),
            (None, None) => break before,
        }
    };
    let mut open = BTreeMap::new();
    while next < before {
        let read = LogReader::read(log, next, READ_EVENTS)?;
        let Some((end, _)) = read.last() else { break };
        next = end + 1;
        for (number, bytes) in read.iter().filter(|(number, _)| *number < before) {
            let Ok(event) = Event::decode(bytes) else { continue };
            if let Some(intent) = event.intent {
                open.remove(&intent);
            } else if event.outcome == Outcome::Intended {
                open.insert(*number, event);
            }
        }
    }
    Ok(open)
}

/// What came of an intent, by the state that has all that was proposed.
fn outcome<T: Tables>(state: &T, number: u64, intent: &Event, node: u64) -> Event {
    let (outcome, why) = match is_there(state, intent) {
        Some(true) => (Outcome::Done, "the state has it"),
        Some(false) => (Outcome::Failed, "the state does not have it"),
        None => (Outcome::Unknown, "whether it was done is in the state"),
    };
    Event {
        intent: Some(number),
        account: intent.account.clone(),
        content: intent.content.clone(),
        keys: intent.keys.clone(),
        policy: intent.policy.clone(),
        object: Some(format!("action={}", intent.action)),
        reason: Some(format!("the node died before its outcome was written; {why}")),
        ..Event::new(node, crate::write::clock::now_ms(), Action::AUDIT_LOST, outcome, Actor::SYSTEM)
    }
}

/// Whether the keys that were to be made are there; `None` where that cannot be told by key ids.
fn is_there<T: Tables>(state: &T, intent: &Event) -> Option<bool> {
    let makes = [Action::KEY_CREATE, Action::KEY_REPLACE].contains(&intent.action);
    let account: &AccountId = intent.account.as_ref().filter(|_| makes && !intent.keys.is_empty())?;
    let mut all = true;
    for key in &intent.keys {
        all &= state::key_by_kid(state, account, &key.kid?).ok()?.is_some();
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit() -> NodeAudit {
        NodeAudit { log: AuditLog::in_memory(), node: 1 }
    }

    #[tokio::test]
    async fn what_was_intended_lately_and_has_no_outcome_is_found_and_nothing_else() {
        let audit = audit();
        let own = |action, outcome| audit.own(action, outcome, "x");
        let old = own(Action::KEY_CREATE, Outcome::Intended);
        let time_ms = old.time_ms - 2 * LOOK_BACK_MS;
        audit.note(Event { time_ms, ..old });
        audit.note(own(Action::NODE_START, Outcome::Done));
        let begun = audit.begin(own(Action::NODE_JOIN, Outcome::Done)).await.unwrap();
        audit.note(own(Action::KEY_CREATE, Outcome::Intended));
        begun.end(Outcome::Done, None, Some(3)).unwrap();
        audit.note(own(Action::POLICY_PUT, Outcome::Intended));
        let found = |before| -> Vec<(u64, String)> {
            let found = lost(&audit.log, before).unwrap().into_iter();
            found.map(|(number, event)| (number, event.action.to_string())).collect()
        };
        let before = audit.log.size();
        // The run that looks.
        audit.note(own(Action::NODE_START, Outcome::Done));
        audit.note(own(Action::KEY_DELETE, Outcome::Intended));
        assert_eq!(found(before), [(3, "key.create".to_owned()), (5, "policy.put".to_owned())]);
        assert!(found(0).is_empty());
        // What was told is not told again, however often the node dies.
        let told = Event { intent: Some(3), ..own(Action::AUDIT_LOST, Outcome::Unknown) };
        audit.note(told);
        assert_eq!(found(audit.log.size()).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [5, 7]);
    }
}
