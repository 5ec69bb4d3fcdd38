//! What a node itself knows to be amiss with it, for `cluster status`.

use std::collections::BTreeMap;

use keymoot_model::NodeId;
use keymoot_state as state;

use crate::members::certificate::CertificateReport;
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
}

impl Complaints {
    /// Collects from these.
    pub(crate) const fn new(
        damage: DamageReport,
        keyring: KeyringReport,
        hold: DivergenceHold,
        state: StateView,
        certificate: CertificateReport,
    ) -> Self {
        Self { damage, keyring, hold, state, certificate }
    }

    /// Everything that is amiss now, each as `problem; remedy`.
    pub(crate) fn list(&self) -> Vec<String> {
        let (damage, lack) = (self.damage.damage(), self.keyring.lack());
        let certificate = self.certificate.complaint();
        damage.into_iter().chain(lack).chain(certificate).chain(self.restored()).collect()
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

    /// The nodes whose state differs, each with `problem; remedy`.
    pub(crate) fn divergences(&self) -> BTreeMap<NodeId, String> {
        self.hold.findings()
    }
}
