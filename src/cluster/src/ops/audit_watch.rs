//! Whether the node can write its audit. While it cannot, it grants nothing, and goes on voting, applying and
//! forwarding; as a leader it hands the leadership over, and it stands for election only where nobody else can win:
//! clients that ask the leader first are served sooner by another one.

use std::sync::Arc;
use std::time::Duration;

use keymoot_audit::NodeAudit;
use keymoot_crypto::Keyring;
use keymoot_telemetry::Metrics;

use crate::members::candidacy::Bar;
use crate::members::membership::Members;
use crate::ops::spare::Sparing;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Watches the audit log.
pub(crate) struct AuditWatch {
    pub audit: NodeAudit,
    pub members: Arc<Members>,
    pub metrics: Arc<Metrics>,
    /// How many events there were when the node started.
    pub before: u64,
}

impl AuditWatch {
    /// Runs as long as the node.
    pub(crate) async fn run(self) {
        let mut sparing: Option<Sparing> = None;
        loop {
            match (self.audit.log.state(), &mut sparing) {
                (Ok(()), None) => {}
                (Ok(()), Some(_)) => {
                    tracing::info!("the audit log can be written again: the node grants again");
                    self.members.bar(Bar::Unaudited, false);
                    sparing = None;
                }
                (Err(why), None) => {
                    tracing::error!(%why, "the node grants nothing until its audit log can be written");
                    sparing = Some(Sparing::new(Bar::Unaudited));
                }
                (Err(_), Some(sparing)) => sparing.spare(&self.members).await,
            }
            self.metrics.audit_unwritable.set(sparing.is_some().into());
            self.measure();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl AuditWatch {
    fn measure(&self) {
        let (metrics, usage) = (&self.metrics, self.audit.log.usage());
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        metrics.audit_bytes.set(number(usage.bytes));
        metrics.audit_budget_bytes.set(number(usage.budget_bytes));
        metrics.audit_oldest_timestamp_seconds.set(number(usage.oldest_ms / 1000));
        metrics.audit_days_left.set(usage.days_left.unwrap_or(f64::INFINITY));
        let counted = metrics.audit_events_total.get();
        metrics.audit_events_total.inc_by(usage.events.saturating_sub(self.before).saturating_sub(counted));
    }
}

/// What an operator reads in the status, as `problem; remedy`.
pub(crate) fn complaint(audit: &NodeAudit) -> Option<String> {
    let why = audit.log.state().err()?;
    Some(format!(
        "{why}; the node grants nothing until it can be: make room on its disk or replace the disk, and it goes on by itself"
    ))
}

/// Which master keys a keyring has, for the audit.
pub(crate) fn keys_of(keyring: &Keyring) -> String {
    if keyring.is_empty() {
        return "keys=none".to_owned();
    }
    let keys: Vec<String> = keyring.fingerprints().into_keys().map(|id| id.to_string()).collect();
    format!("keys={} active={}", keys.join(","), keyring.active())
}
