//! What is amiss with the audit logs, as this node knows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use keymoot_audit::NodeAudit;
use keymoot_model::NodeId;
use keymoot_state::AuditLogName;

/// A log that nobody has cosigned for so long is complained of.
const UNCOSIGNED_MAX: Duration = Duration::from_secs(300);
/// Less room than for so many days is complained of.
const DAYS_LEFT_MIN: f64 = 14.0;

/// How another node's log does not fit what this node knows of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The key that is registered for the log did not sign it.
    #[error("its checkpoint at {size} events is not signed by its key")]
    Unsigned { size: u64 },
    /// Two roots for one size.
    #[error("it had other events up to number {size} when this node checked it")]
    Rewritten { size: u64 },
    /// What this node had seen is not the beginning of it any more.
    #[error(
        "its checkpoint at {to} events does not go on from the {from} that this node had checked: something in them was \
         changed, removed or put in another order"
    )]
    Inconsistent { from: u64, to: u64 },
    /// Events at its end are gone.
    #[error("it has {size} events, and had {before} when this node checked it: what is between was cut off")]
    Cut { before: u64, size: u64 },
    /// The node writes a log that the cluster knows nothing of.
    #[error("its node writes another log by now, {other}, and has not registered that")]
    OtherLog { other: AuditLogName },
}

/// What is amiss with the audit logs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AuditReport {
    own: NodeAudit,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    faults: BTreeMap<AuditLogName, Fault>,
    /// What is amiss with this node's own log or with its memory of the others.
    own: BTreeMap<&'static str, String>,
    waits: Option<Waits>,
}

/// What waits for a cosignature.
struct Waits {
    /// How many events must be cosigned.
    size: u64,
    since: Instant,
}

impl AuditReport {
    /// The report of this node, which writes `own`.
    pub(crate) fn new(own: NodeAudit) -> Self {
        Self { own, known: Arc::default() }
    }

    /// Another node's log was checked. Returns whether a fault is new.
    pub(crate) fn note(&self, name: AuditLogName, checked: Result<(), Fault>) -> bool {
        let mut known = self.lock();
        match checked {
            Ok(()) => {
                known.faults.remove(&name);
                false
            }
            Err(fault) => known.faults.insert(name, fault.clone()) != Some(fault),
        }
    }

    /// Only these logs are looked at any more.
    pub(crate) fn keep(&self, is_current: impl Fn(&AuditLogName) -> bool) {
        self.lock().faults.retain(|name, _| is_current(name));
    }

    /// Of this node's own doing, `what` is as `complaint` says, or in order.
    pub(crate) fn note_own(&self, what: &'static str, complaint: Option<String>) {
        let mut known = self.lock();
        match complaint {
            Some(complaint) => known.own.insert(what, complaint),
            None => known.own.remove(what),
        };
    }

    /// Notes how long the own log is and how much of it others cosigned. Returns for how long something has waited.
    pub(crate) fn note_cosigned(&self, size: u64, cosigned: u64, can_be_cosigned: bool) -> Duration {
        let mut known = self.lock();
        let waits = known.waits.take().filter(|waits| waits.size > cosigned);
        let waits = waits.or_else(|| (size > cosigned).then(|| Waits { size, since: Instant::now() }));
        known.waits = waits.filter(|_| can_be_cosigned);
        known.waits.as_ref().map(|waits| waits.since.elapsed()).unwrap_or_default()
    }

    /// How many logs of other nodes do not fit.
    pub(crate) fn fault_count(&self) -> usize {
        self.lock().faults.len()
    }

    /// Everything that is amiss, each as `problem; remedy`.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let known = self.lock();
        let faults = known.faults.iter().map(|(name, fault)| {
            format!(
                "audit log {name} of node {node} is not cosigned: {fault}; take node {node} for taken over, see what is \
                 wrong with keymoot audit verify, and keep its disk: docs/audit.md",
                node = name.node
            )
        });
        let waits = known.waits.as_ref().filter(|waits| waits.since.elapsed() >= UNCOSIGNED_MAX).map(|waits| {
            format!(
                "no other node has cosigned this node's audit log for {} minutes, so nobody vouches for what it says \
                 since; see with keymoot cluster status whether a quorum is there, and with keymoot audit logs what the \
                 others have checked",
                waits.since.elapsed().as_secs() / 60
            )
        });
        let room = room(self.own.node, self.own.log.usage().days_left);
        faults.chain(known.own.values().cloned()).chain(waits).chain(room).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // No code panics while it holds the lock, so a poisoned report is intact.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That the room is used up before the oldest events may be deleted, foretold.
fn room(node: NodeId, days_left: Option<f64>) -> Option<String> {
    let days = days_left.filter(|days| *days < DAYS_LEFT_MIN)?;
    Some(format!(
        "the audit log of node {node} has no more room in {days:.0} days, before its oldest events may be deleted, and \
         then this node lets no more keys out; raise audit.budget_bytes, give the disk more room, or lower \
         audit.retention_days"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_audit::AuditLog;
    use keymoot_state::AuditLogId;

    fn report() -> AuditReport {
        AuditReport::new(NodeAudit { log: AuditLog::in_memory(), node: 1 })
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_cosigns_is_complained_of_and_a_growing_log_that_is_cosigned_is_not() {
        let report = report();
        for round in 0..300 {
            // There always are events that nobody has cosigned yet.
            report.note_cosigned(10 + round, 5 + round, true);
            tokio::time::advance(Duration::from_secs(3)).await;
        }
        assert!(report.complaints().is_empty());
        for _ in 0..110 {
            report.note_cosigned(400, 310, true);
            tokio::time::advance(Duration::from_secs(3)).await;
        }
        assert!(report.complaints()[0].contains("no other node has cosigned"), "{:?}", report.complaints());
        report.note_cosigned(400, 310, false);
        assert!(report.complaints().is_empty());
    }

    #[test]
    fn a_budget_that_fills_before_its_time_is_foretold_with_the_cure() {
        assert_eq!(room(3, None), None);
        assert_eq!(room(3, Some(200.0)), None);
        let said = room(3, Some(6.4)).unwrap();
        let (problem, remedy) = said.split_once("; ").unwrap();
        assert!(problem.contains("node 3 has no more room in 6 days"), "{said}");
        assert!(remedy.contains("audit.budget_bytes") && remedy.contains("audit.retention_days"), "{said}");
    }

    #[test]
    fn a_fault_stays_until_the_log_fits_and_is_new_once() {
        let report = report();
        let name = AuditLogName { node: 2, log: AuditLogId::from_bytes([1; 8]) };
        assert!(report.note(name, Err(Fault::Cut { before: 9, size: 7 })));
        assert!(!report.note(name, Err(Fault::Cut { before: 9, size: 7 })));
        let said = report.complaints();
        assert!(said[0].contains("2/0101010101010101") && said[0].contains("; take node 2"), "{said:?}");
        report.note(name, Ok(()));
        assert!(report.complaints().is_empty());
    }
}
