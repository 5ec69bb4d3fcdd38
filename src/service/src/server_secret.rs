//! The secret that the servers prove themselves with: made by whichever node comes first,
//! replicated wrapped, and the same on every node ever after.

use std::sync::OnceLock;
use std::time::Duration;

use keymoot_audit::{Action, Actor, Event, NodeAudit, Outcome};
use keymoot_crypto::{Keyring, random_bytes};
use keymoot_protocol::ServerKeys;
use keymoot_state as state;
use keymoot_state::Command;

use super::changes::change_by_node;
use super::error::ServiceError;
use super::replicated_state::ReplicatedState;

/// How long to wait before a cluster that did not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Puts the servers' keys into `slot` once the cluster has them, and makes their secret if nobody
/// did. Waits for a quorum as long as it takes; until then answers are not signed.
pub async fn open_server_keys(
    cluster: &impl ReplicatedState,
    keyring: &Keyring,
    audit: &NodeAudit,
    slot: &OnceLock<ServerKeys>,
) {
    loop {
        match open(cluster, keyring, audit).await {
            Ok(keys) => {
                tracing::info!(key_id = keys.key_id(), "answers can be signed");
                drop(slot.set(keys));
                return;
            }
            Err(error) => {
                tracing::debug!(%error, "the servers' secret waits for the cluster");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn open(
    cluster: &impl ReplicatedState,
    keyring: &Keyring,
    audit: &NodeAudit,
) -> Result<ServerKeys, ServiceError> {
    let making = |error: &dyn std::fmt::Display| ServiceError::Making(error.to_string());
    cluster.read_barrier().await?;
    if state::server_secret(cluster.state())?.is_none() {
        let secret = zeroize::Zeroizing::new(random_bytes::<32>().map_err(|error| making(&error))?);
        let secret = keyring.wrap_server_secret(&secret).map_err(|error| making(&error))?;
        let event = audit.event(Action::SECRETS_MAKE, Outcome::Done, Actor::SYSTEM);
        let event = Event { object: Some("secret=answers".to_owned()), ..event };
        change_by_node(cluster, audit, vec![(event, Command::PutServerSecret { secret })]).await?;
        cluster.read_barrier().await?;
    }
    let protocol = ServiceError::Protocol { command: "put-server-secret" };
    let Some(wrapped) = state::server_secret(cluster.state())? else { return Err(protocol) };
    let secret = keyring.unwrap_server_secret(&wrapped)?;
    secret.expose().try_into().ok().and_then(ServerKeys::derive).ok_or(protocol)
}
