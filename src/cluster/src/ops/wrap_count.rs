//! Counts the wrappings under each master key in the replicated state, as an upper bound.
//!
//! A node reserves wrappings before it makes them, many at once, and always has at least one block of them left.
//! What it reserved and did not use before it stopped stays counted; so a crash makes the count too high and
//! never too low. No wrapping waits for its reservation: where none can be replicated, no key can be, either.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_crypto::Keyring;
use keymoot_model::{MasterKeyId, NodeId};
use keymoot_state as state;
use keymoot_state::{Command, Response, WRAPS_AT_ONCE_MAX};
use keymoot_telemetry::Metrics;

use crate::members::membership::Members;
use crate::raft::state_view::StateView;
use crate::write::forwarder::ProposalForwarder;

/// What is reserved at once: more than a node wraps within a second.
const BLOCK: u64 = 1 << 16;
/// How often the node looks whether it must reserve more.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The time limit for a reservation.
const PATIENCE: Duration = Duration::from_secs(3);

/// A task on every node that reserves what it wraps, and publishes what all have reserved.
pub(crate) struct WrapCount {
    node: NodeId,
    members: Arc<Members>,
    state: StateView,
    forwarder: Arc<ProposalForwarder>,
    keyring: Arc<Keyring>,
    metrics: Arc<Metrics>,
    /// What this process has reserved.
    reserved: BTreeMap<MasterKeyId, u64>,
}

impl WrapCount {
    /// Counts what `keyring` wraps.
    pub(crate) fn new(
        (node, members): (NodeId, Arc<Members>),
        (state, forwarder): (StateView, Arc<ProposalForwarder>),
        keyring: Arc<Keyring>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { node, members, state, forwarder, keyring, metrics, reserved: BTreeMap::new() }
    }

    /// Runs as long as Raft does.
    pub(crate) async fn run(mut self) {
        while self.members.is_running() {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "the wrappings under the master keys cannot be read");
            }
        }
    }

    async fn look(&mut self) -> Result<(), state::StateError> {
        for (id, count) in state::reserved_wraps(&self.state)? {
            let gauge = self.metrics.master_key_wraps.with_label_values(&[&id.0]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let level = state::cluster_identity(&self.state)?.map_or(0, |identity| identity.feature_level);
        let used = self.keyring.wraps();
        let ids: BTreeSet<MasterKeyId> = used.keys().cloned().chain([self.keyring.active()]).collect();
        for id in ids {
            let reserved = self.reserved.get(&id).copied().unwrap_or_default();
            let count = due(used.get(&id).copied().unwrap_or_default(), reserved);
            let command = Command::ReserveWraps { node: self.node, master_key: id.clone(), count };
            if count == 0 || level < state::level_of(&command) {
                continue;
            }
            let deadline = Instant::now() + PATIENCE;
            match self.forwarder.replicate(vec![command], deadline).await.as_deref() {
                Ok([Response::Done]) => {
                    self.reserved.insert(id, reserved.saturating_add(count.into()));
                }
                // Should it have been stored all the same, the bound is only higher.
                Ok(_) => tracing::debug!("wrappings were not reserved yet"),
                Err(error) => tracing::debug!(%error, "wrappings were not reserved yet"),
            }
        }
        Ok(())
    }
}

/// How many wrappings to reserve now, so that at least a block is left for a while.
fn due(used: u64, reserved: u64) -> u32 {
    if reserved >= used.saturating_add(BLOCK) {
        return 0;
    }
    let wanted =
        used.saturating_add(2 * BLOCK).saturating_sub(reserved).div_ceil(BLOCK).saturating_mul(BLOCK);
    u32::try_from(wanted).unwrap_or(u32::MAX).min(WRAPS_AT_ONCE_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_reserves_before_it_wraps_and_seldom() {
        assert_eq!(u64::from(due(0, 0)), 2 * BLOCK);
        assert_eq!(due(BLOCK, 2 * BLOCK), 0);
        assert_eq!(u64::from(due(BLOCK + 1, 2 * BLOCK)), 2 * BLOCK);
        // More than one reservation holds takes several looks.
        assert_eq!(due(u64::MAX, 0), WRAPS_AT_ONCE_MAX);
    }

    proptest! {
        #[test]
        fn at_least_a_block_is_left_after_a_reservation(used in 0_u64..1 << 22, reserved in 0_u64..1 << 22) {
            let after = reserved + u64::from(due(used, reserved));
            prop_assert!(after >= used + BLOCK);
        }
    }
}
