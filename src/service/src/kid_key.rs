//! The cluster's key for derived key ids: opened once per process, made when it is first needed.

use std::sync::{Arc, OnceLock};

use keymoot_auth::Grant;
use keymoot_crypto::KidKey;
use keymoot_state as state;
use keymoot_state::{Command, Response};

use super::changes::change_one;
use super::error::ServiceError;
use super::keys::Keys;
use super::replicated_state::ReplicatedState;

/// The opened key. It never changes once the cluster has one.
#[derive(Debug, Default)]
pub(super) struct KidKeys(OnceLock<Arc<KidKey>>);

impl<R: ReplicatedState> Keys<R> {
    /// The key, if the cluster has one: without it, no key id was ever derived.
    pub(super) fn known_kid_key(&self) -> Result<Option<Arc<KidKey>>, ServiceError> {
        if let Some(key) = self.kid_keys.0.get() {
            return Ok(Some(key.clone()));
        }
        match state::kid_key(self.cluster.state())? {
            Some(wrapped) => self.open_kid_key(&wrapped).map(Some),
            None => Ok(None),
        }
    }

    /// The key; the cluster gets one now if it has none. Whoever proposes first decides.
    pub(super) async fn kid_key(&self, grant: &Grant) -> Result<Arc<KidKey>, ServiceError> {
        if let Some(key) = self.known_kid_key()? {
            return Ok(key);
        }
        let key = self.keyring.new_kid_key().map_err(|error| ServiceError::Making(error.to_string()))?;
        match change_one(&self.cluster, grant, Command::FoundKidKey { key }).await? {
            Response::KidKey(wrapped) => self.open_kid_key(&wrapped),
            _ => Err(ServiceError::Protocol { command: "found-kid-key" }),
        }
    }

    fn open_kid_key(&self, wrapped: &keymoot_model::Wrapped) -> Result<Arc<KidKey>, ServiceError> {
        let key = Arc::new(self.keyring.unwrap_kid_key(wrapped)?);
        Ok(self.kid_keys.0.get_or_init(|| key).clone())
    }
}
