//! What a node itself knows to be amiss with it, for `cluster status`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use keymoot_audit::NodeAudit;
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{OperatorRecord, Voucher};

use crate::audit::AuditReport;
use crate::members::certificate::CertificateReport;
use crate::ops::audit_watch;
use crate::ops::damage::DamageReport;
use crate::ops::peer_watch::KeyringReport;
use crate::raft::state_view::StateView;
use crate::write::hold::DivergenceHold;

/// Collects what is amiss.
pub(crate) struct Complaints {
    damage: DamageReport,
    keyring: KeyringReport,
    hold: DivergenceHold,
    state: StateView,
    certificate: CertificateReport,
    events: NodeAudit,
    audit: AuditReport,
    others: Mutex<Vec<OtherComplaints>>,
}

/// Tells what is amiss with a part of the node that the cluster knows nothing of.
pub(crate) type OtherComplaints = Box<dyn Fn() -> Vec<String> + Send + Sync>;

impl Complaints {
    /// Collects from these.
    pub(crate) fn new(
        damage: DamageReport,
        keyring: KeyringReport,
        hold: DivergenceHold,
        state: StateView,
        certificate: CertificateReport,
        (events, audit): (NodeAudit, AuditReport),
    ) -> Self {
        let others = Mutex::new(Vec::new());
        Self { damage, keyring, hold, state, certificate, events, audit, others }
    }

    /// Collects from this, too.
    pub(crate) fn add(&self, others: OtherComplaints) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(others);
    }

    /// Everything that is amiss now, each as `problem; remedy`.
    pub(crate) fn list(&self) -> Vec<String> {
        let own =
            self.damage.damage().into_iter().chain(self.keyring.lack()).chain(self.certificate.complaint());
        own.chain(audit_watch::complaint(&self.events))
            .chain(self.audit.complaints())
            .chain(self.restored())
            .chain(self.unacknowledged_operators())
            .chain(
                self.others.lock().unwrap_or_else(PoisonError::into_inner).iter().flat_map(|others| others()),
            )
            .collect()
    }

    /// What a restored backup brought back and nobody has confirmed.
    fn restored(&self) -> Option<String> {
        let accounts = state::restored_accounts(&self.state).ok().filter(|accounts| !accounts.is_empty())?;
        Some(format!(
            "{} accounts that a restored backup brought back are not served; keymoot account list shows them: revoke the \
             credentials and suspend the accounts that must not come back, then keymoot account confirm --all",
            accounts.len()
        ))
    }

    /// Operators whom nobody but a keyring vouched for. A state that cannot be read is complained of elsewhere.
    fn unacknowledged_operators(&self) -> Vec<String> {
        let all = state::operators(&self.state).unwrap_or_default();
        let all = all.iter().filter(|operator| operator.revoked_at_ms.is_none());
        let complaint = |operator: &OperatorRecord| match &operator.voucher {
            Voucher::Keyring { node, acknowledged_by: None } => Some(format!(
                "operator {name} was added at node {node} by proof of a master key, and no operator has \
                 acknowledged it; if it is meant: keymoot operator acknowledge {name}; if not: keymoot operator \
                 revoke {name}",
                name = operator.name
            )),
            _ => None,
        };
        all.filter_map(complaint).collect()
    }

    /// The nodes whose state differs, each with `problem; remedy`.
    pub(crate) fn divergences(&self) -> BTreeMap<NodeId, String> {
        self.hold.findings()
    }
}
