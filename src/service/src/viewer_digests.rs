//! How the audit names viewers: by digests under the cluster's secret, as soon as this node has applied it.

use std::sync::OnceLock;

use keymoot_crypto::Keyring;
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
        let keys = known_server_keys(&self.cluster, &self.keyring)?;
        Ok(keys.map(|keys| self.digests.0.get_or_init(|| keys)))
    }
}

/// What the servers prove themselves with and name viewers by, as far as this node has applied the log.
///
/// # Errors
/// When the state cannot be read, or the secret cannot be opened.
pub fn known_server_keys<R: ReplicatedState>(
    cluster: &R,
    keyring: &Keyring,
) -> Result<Option<ServerKeys>, ServiceError> {
    let Some(wrapped) = state::server_secret(cluster.state())? else { return Ok(None) };
    let secret = keyring.unwrap_server_secret(&wrapped)?;
    Ok(secret.expose().try_into().ok().and_then(ServerKeys::derive))
}
