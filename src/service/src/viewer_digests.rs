//! How the audit names viewers: by digests under the cluster's secret, as soon as this node has applied it.

use std::sync::OnceLock;

use keymoot_protocol::ServerKeys;
use keymoot_state as state;

use super::error::ServiceError;
use super::keys::Keys;
use super::replicated_state::ReplicatedState;

/// What makes them, opened once per process.
#[derive(Default)]
pub(super) struct OpenedDigests(OnceLock<ServerKeys>);

impl<R: ReplicatedState> Keys<R> {
    /// What makes the digests. `None` on a node that has not heard of the cluster's secret: it never changes once the
    /// cluster has one, so it needs no fresh read.
    pub(super) fn server_keys(&self) -> Result<Option<&ServerKeys>, ServiceError> {
        if let Some(keys) = self.digests.0.get() {
            return Ok(Some(keys));
        }
        let Some(wrapped) = state::server_secret(self.cluster.state())? else { return Ok(None) };
        let secret = self.keyring.unwrap_server_secret(&wrapped)?;
        let keys = secret.expose().try_into().ok().and_then(ServerKeys::derive);
        Ok(keys.map(|keys| self.digests.0.get_or_init(|| keys)))
    }
}
