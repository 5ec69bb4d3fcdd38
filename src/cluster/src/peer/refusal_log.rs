//! Refusals on the peer port: each is counted, and each kind from an address is logged and audited once a minute.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use keymoot_audit::{Action, Actor, Event, NodeAudit, Outcome};
use keymoot_model::client_network;
use keymoot_telemetry::{LastingConditions, Metrics, quoted};

/// Counts refusals and logs them.
pub(crate) struct RefusalLog {
    lines: LastingConditions<(IpAddr, &'static str)>,
    metrics: Arc<Metrics>,
    audit: NodeAudit,
}

impl RefusalLog {
    /// A log that counts in `metrics`, and tells `audit`.
    pub(crate) const fn new(metrics: Arc<Metrics>, audit: NodeAudit) -> Self {
        Self { lines: LastingConditions::new(), metrics, audit }
    }

    /// Counts a refusal for a missing proof or right, and logs it if a line is due. `what` is a label
    /// of the metric.
    pub(crate) fn note(&self, what: &'static str, from: SocketAddr, reason: &str) {
        self.count(what);
        self.log(what, from, reason);
    }

    /// Counts what is not worth a line.
    pub(crate) fn count(&self, what: &'static str) {
        self.metrics.peer_refusals_total.with_label_values(&[what]).inc();
    }

    /// Logs that a peer was refused at the greeting, if a line is due.
    pub(crate) fn log(&self, what: &'static str, from: SocketAddr, reason: &str) {
        if let Some(unlogged) = self.is_due(what, from) {
            tracing::warn!(%from, what, reason, unlogged, "refused on the peer port");
            let action = match what {
                "join" => Action::NODE_JOIN,
                "renewal" => Action::NODE_CERTIFICATE,
                "administration" => Action::ADMIN_REQUEST,
                _ => Action::PEER_CONNECT,
            };
            let event = self.audit.event(action, Outcome::Refused, Actor::STRANGER);
            self.audit.note(Event {
                address: Some(from.ip()),
                object: Some(format!("what={what}")),
                reason: Some(quoted(&reason).as_str().to_owned()),
                repeated: (unlogged > 0).then_some(unlogged),
                ..event
            });
        }
    }

    fn is_due(&self, what: &'static str, from: SocketAddr) -> Option<u64> {
        self.lines.note((client_network(from.ip()), what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_join_and_a_refused_peer_are_told_with_address_and_reason_and_a_flood_is_counted() {
        let audit = NodeAudit { log: keymoot_audit::AuditLog::in_memory(), node: 1 };
        let log = RefusalLog::new(Arc::new(Metrics::new().unwrap()), audit.clone());
        for (what, from) in [("join", "192.0.2.7:1"), ("certificate", "192.0.2.8:1")] {
            for _ in 0..1000 {
                log.note(what, from.parse().unwrap(), "it is \u{202e}nobody");
            }
        }
        let told = audit.log.remembered();
        let actions: Vec<_> = told.iter().map(|event| event.action.as_str()).collect();
        assert_eq!(actions, ["node.join", "peer.connect"]);
        assert!(told.iter().all(|event| event.outcome == Outcome::Refused));
        assert_eq!(told[1].address, Some("192.0.2.8".parse().unwrap()));
        let written = String::from_utf8(told[0].encode().unwrap()).unwrap();
        assert!(written.contains("nobody") && !written.contains('\u{202e}'), "{written}");
    }

    #[test]
    fn a_network_of_ipv6_has_the_lines_of_one_address() {
        let log = RefusalLog::new(
            Arc::new(Metrics::new().unwrap()),
            NodeAudit { log: keymoot_audit::AuditLog::in_memory(), node: 1 },
        );
        let due = ["[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8:0:1::1]:1"]
            .map(|from| log.is_due("join", from.parse().unwrap()));
        assert_eq!(due, [Some(0), None, Some(0)]);
    }
}
