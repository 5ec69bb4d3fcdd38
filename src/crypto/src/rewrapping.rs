//! Rewraps secrets under the active master key. The plaintext exists only in here, for a moment.

use super::binding;
use super::keyring::{Keyring, UnwrapError, WrapError};
use super::wrapping::{CHECK_TEXT, CredentialPlace};
use keymoot_model::{AccountId, KeyRecord, OperatorName, SeedRecord, SignInSecret, Wrapped};

/// Why a secret could not be rewrapped under the active master key.
#[derive(Debug, thiserror::Error)]
pub enum RewrapError {
    /// The wrapped secret does not open.
    #[error(transparent)]
    Unwrap(#[from] UnwrapError),
    /// The secret cannot be wrapped.
    #[error(transparent)]
    Wrap(#[from] WrapError),
}

impl Keyring {
    /// The same content key under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the secret, or no nonce could be drawn.
    pub fn rewrap_content_key(&self, record: &KeyRecord) -> Result<Wrapped, RewrapError> {
        self.rewrap(&record.key, &binding::key_of(record))
    }

    /// The same seed under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the secret, or no nonce could be drawn.
    pub fn rewrap_period_seed(&self, record: &SeedRecord) -> Result<Wrapped, RewrapError> {
        let version = record.id.version.into();
        self.rewrap(&record.seed, &binding::period_seed(&record.place, version, record.length_s))
    }

    /// The same signing key under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the secret, or no nonce could be drawn.
    pub fn rewrap_credential(
        &self,
        wrapped: &Wrapped,
        place: CredentialPlace<'_>,
    ) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::credential(place.account, place.name, place.scope))
    }

    /// The same server secret under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the secret, or no nonce could be drawn.
    pub fn rewrap_server_secret(&self, wrapped: &Wrapped) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::server_secret())
    }

    /// The same key for derived key ids under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the secret, or no nonce could be drawn.
    pub fn rewrap_kid_key(&self, wrapped: &Wrapped) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::kid_key())
    }

    /// The same seed of an account's documents under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the secret, or no nonce could be drawn.
    pub fn rewrap_document_seed(
        &self,
        account: &AccountId,
        id: u64,
        wrapped: &Wrapped,
    ) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::document_seed(account, id))
    }

    /// The same private key of a cluster's certificate authority under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the secret, or no nonce could be drawn.
    pub fn rewrap_authority(&self, cluster: &str, wrapped: &Wrapped) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::authority(cluster))
    }

    /// The same secret of an operator under the active master key.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the secret, or no nonce could be drawn.
    pub fn rewrap_sign_in(
        &self,
        operator: &OperatorName,
        kind: SignInSecret,
        wrapped: &Wrapped,
    ) -> Result<Wrapped, RewrapError> {
        self.rewrap(wrapped, &binding::sign_in(operator, kind))
    }

    /// The check value under the active master key; this ring must open the old one.
    ///
    /// # Errors
    /// [`RewrapError`] when this ring does not open the value, or no nonce could be drawn. A ring of another
    /// cluster can therefore not replace the value that detects it.
    pub fn rewrap_check(&self, cluster_id: &str, check: &Wrapped) -> Result<Wrapped, RewrapError> {
        self.verify_check(cluster_id, check)?;
        Ok(self.wrap(CHECK_TEXT, &binding::check_value(cluster_id))?)
    }

    fn rewrap(&self, wrapped: &Wrapped, aad: &[u8]) -> Result<Wrapped, RewrapError> {
        let secret = self.unwrap_secret(wrapped, aad)?;
        Ok(self.wrap(secret.expose(), aad)?)
    }
}
