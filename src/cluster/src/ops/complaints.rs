//! What a node itself knows to be amiss with it, for `cluster status`.

use std::collections::BTreeMap;

use keymoot_model::NodeId;

use crate::ops::damage::DamageReport;
use crate::ops::peer_watch::KeyringReport;
use crate::write::hold::DivergenceHold;

/// Collects what is amiss.
pub(crate) struct Complaints {
    damage: DamageReport,
    keyring: KeyringReport,
    hold: DivergenceHold,
}

impl Complaints {
    /// Collects from these.
    pub(crate) const fn new(damage: DamageReport, keyring: KeyringReport, hold: DivergenceHold) -> Self {
        Self { damage, keyring, hold }
    }

    /// Everything that is amiss now, each as `problem; remedy`.
    pub(crate) fn list(&self) -> Vec<String> {
        self.damage.damage().into_iter().chain(self.keyring.lack()).collect()
    }

    /// The nodes whose state differs, each with `problem; remedy`.
    pub(crate) fn divergences(&self) -> BTreeMap<NodeId, String> {
        self.hold.findings()
    }
}
