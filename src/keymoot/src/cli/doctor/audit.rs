//! The audit log of a node that runs: whether it can be written, for how long its room will do, and what the node knows
//! to be amiss with the logs of the others.

use keymoot_cluster::{AdminRequest, AdminResponse, HeldLog};

use super::finding::Finding;
use crate::cli::operator::{Operator, TIMEOUT};

const CHECK: &str = "audit log";
/// Less room than for so many days wants a look.
const DAYS_LEFT_MIN: f64 = 14.0;

/// What the node says of its log. Nothing where it does not run, or is of an earlier version.
pub(super) async fn check(operator: &Operator, address: &str) -> Vec<Finding> {
    let Ok(client) = operator.client(operator.config.node.id, address) else { return Vec::new() };
    let Ok(AdminResponse::AuditLog(held)) = client.ask(AdminRequest::AuditLog, TIMEOUT).await else {
        return Vec::new();
    };
    let mut findings = vec![own(&held.current)];
    if let Ok(AdminResponse::Complaints(complaints)) = client.ask(AdminRequest::Complaints, TIMEOUT).await {
        // What stands there of its own log is said above.
        let of_others = complaints.iter().filter(|complaint| complaint.contains("is not cosigned:"));
        findings.extend(of_others.map(|complaint| {
            let (problem, remedy) =
                complaint.split_once("; ").unwrap_or((complaint, "see keymoot audit verify"));
            Finding::fail("audit logs of the others", problem, remedy)
        }));
    }
    findings
}

fn own(held: &HeldLog) -> Finding {
    let saw = format!("{} has {} events in {} bytes", held.name, held.size, held.usage.bytes);
    if let Some(reason) = &held.unwritable {
        let fix = "give its disk room, or mend what is said here; the node grants nothing until then";
        return Finding::fail(CHECK, format!("it cannot be written: {reason}"), fix);
    }
    match held.usage.days_left {
        Some(days) if days < DAYS_LEFT_MIN => Finding::warn(
            CHECK,
            format!(
                "{saw}, and room for {days:.0} days more, which is before its oldest events may be deleted"
            ),
            "raise audit.budget_bytes, give the disk more room, or lower audit.retention_days",
        ),
        _ => Finding::ok(CHECK, saw),
    }
}

#[cfg(test)]
mod tests {
    use keymoot_audit::Usage;
    use keymoot_cluster::{AuditPosition, audit_positions};

    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn a_log_without_room_is_foretold_and_one_that_cannot_be_written_is_a_fault() {
        let AuditPosition { name, .. } = audit_positions("1/0011223344556677:0").unwrap().remove(0);
        let held = |days_left, unwritable: Option<&str>| HeldLog {
            name,
            at: 1,
            ended: false,
            size: 7,
            first_kept: 0,
            usage: Usage { days_left, ..Usage::default() },
            unwritable: unwritable.map(str::to_owned),
        };
        assert_eq!(own(&held(None, None)).level, Level::Ok);
        assert_eq!(own(&held(Some(300.0), None)).level, Level::Ok);
        let warned = own(&held(Some(3.2), None));
        assert_eq!(warned.level, Level::Warn);
        assert!(warned.saw.contains("room for 3 days more"), "{}", warned.saw);
        let failed = own(&held(None, Some("no space left on device")));
        assert_eq!(failed.level, Level::Fail);
        assert!(failed.saw.contains("no space left"), "{}", failed.saw);
    }
}
