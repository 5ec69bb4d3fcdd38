//! Putting a wrapped secret under the active master key. The secret is open only in here, for a moment.

use super::binding;
use super::keyring::{Keyring, UnwrapError, WrapError};
use super::wrapping::{CHECK_TEXT, CredentialPlace};
use keymoot_model::{KeyRecord, SeedRecord, Wrapped};

/// Why a secret could not be put under the active master key.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// It does not open.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// It cannot be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
}

impl Keyring {
    /// The same content key under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`].
    pub fn rewrap_content_key(&self, record: &KeyRecord) -> Result<Wrapped, RewrapError> {
        self.rewrap(&record.key, &binding::key_of(record))
    }

    /// The same seed under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`].
    pub fn rewrap_period_seed(&self, record: &SeedRecord) -> Result<Wrapped, RewrapError> {
        let version = record.id.version.into();
        self.rewrap(&record.seed, &binding::period_seed(&record.place, version, record.length_s))
    }

    /// The same signing key under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`].
    pub fn rewrap_credential(
        &self,
        wrapped: &Wrapped,
        place: CredentialPlace<'_>,
    ) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::credential(place.account, place.name, place.scope))
    }

    /// The same secret of the servers under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`].
    pub fn rewrap_server_secret(&self, wrapped: &Wrapped) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::server_secret())
    }

    /// The same key of derived key ids under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`].
    pub fn rewrap_kid_key(&self, wrapped: &Wrapped) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::kid_key())
    }

    /// The same private key of a cluster's certificate authority under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`].
    pub fn rewrap_authority(&self, cluster: &str, wrapped: &Wrapped) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::authority(cluster))
    }

    /// A check value under the active master key, in place of one that this ring opens.
    ///
    /// # Errors
    /// [`RewrapError`]; so a ring of another cluster never replaces the value that would tell.
    pub fn rewrap_check(&self, cluster_id: &str, check: &Wrapped) -> Result<Wrapped, RewrapError> {
        self.verify_check(cluster_id, check)?;
        Ok(self.wrap(CHECK_TEXT, &binding::check_value(cluster_id))?)
    }

    fn rewrap(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Wrapped, RewrapError> {
        let secret = self.unwrap_secret(wrapped, aad)?;
        Ok(self.wrap(secret.expose(), aad)?)
    }
}
