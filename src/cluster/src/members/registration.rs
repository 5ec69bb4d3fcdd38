//! Registration: a node has the cluster know the key that it proves itself with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::Command;

use crate::members::authority_change::own_trust;
use crate::members::membership::Members;
use crate::members::node_info::NodeInfo;
use crate::peer::known_keys::{KnownKeys, revoked};
use crate::peer::local_end::LocalEnd;

/// The time limit for one attempt.
const PATIENCE: Duration = Duration::from_secs(3);

/// Registers this node's key, and ends the node when its certificates are revoked.
pub(crate) struct KeyRegistration {
    members: Arc<Members>,
    keys: KnownKeys,
    info: Arc<NodeInfo>,
    local: LocalEnd,
}

impl KeyRegistration {
    /// Registers the key of `info`.
    pub(crate) const fn new(
        members: Arc<Members>,
        keys: KnownKeys,
        info: Arc<NodeInfo>,
        local: LocalEnd,
    ) -> Self {
        Self { members, keys, info, local }
    }

    /// Notes what tells a node from a stranger: the members, and on the leader whether its state is up to date. Ends
    /// this node if its own certificates were revoked.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) fn look(&self, members: &BTreeSet<NodeId>, is_current: bool) -> Result<(), state::StateError> {
        self.keys.note_members(members);
        self.keys.note_current(|| is_current);
        let own = state::registered_key(&self.members.state, self.members.id)?;
        if own.is_some_and(|own| own.revoked_at_ms.is_some()) {
            self.local.fatal.raise(&revoked(self.members.id));
        }
        Ok(())
    }

    /// Registers the key, unless that is done; below the feature level that knows keys it waits.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn register(&self) -> Result<(), state::StateError> {
        // That of a witness was registered by its admission, and stays.
        if self.local.is_witness() {
            return Ok(());
        }
        let id = self.members.id;
        let known = state::registered_key(&self.members.state, id)?;
        let Some(digest) = self.info.key_digest() else { return Ok(()) };
        let command = Command::RegisterNodeKey { id, digest };
        let level =
            state::cluster_identity(&self.members.state)?.map_or(0, |identity| identity.feature_level);
        if level < state::level_of(&command) || known.is_some_and(|known| known.digest == digest) {
            return Ok(());
        }
        self.settle(command).await;
        Ok(())
    }

    /// Has witnesses know what tells who holds a master key: by the keyring of this node, which leads.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn note_verifiers(&self) -> Result<(), state::StateError> {
        let tables = &self.members.state;
        let command = Command::SetVerifiers(self.local.keyring.verifiers());
        let level = state::cluster_identity(tables)?.map_or(0, |identity| identity.feature_level);
        if self.local.is_witness()
            || level < state::level_of(&command)
            || command == Command::SetVerifiers(state::verifiers(tables)?)
        {
            return Ok(());
        }
        self.settle(command).await;
        Ok(())
    }

    /// Has the cluster know what this node trusts, while its authority is replaced.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn note_trust(&self) -> Result<(), state::StateError> {
        let (id, tables) = (self.members.id, &self.members.state);
        let Some(tls) = &self.info.tls else { return Ok(()) };
        let Some(own) = own_trust(id, tls, tables)? else { return Ok(()) };
        if !state::node_trust(tables)?.contains(&own) {
            self.settle(Command::NoteTrust(Box::new(own))).await;
        }
        Ok(())
    }

    async fn settle(&self, command: Command) {
        let deadline = Instant::now() + PATIENCE;
        if let Err(error) = self.members.forwarder.replicate(vec![command], deadline).await {
            tracing::debug!(%error, "what proves this node was not stored yet");
        }
    }
}
