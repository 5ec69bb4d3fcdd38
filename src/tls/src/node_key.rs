//! The key of a node that asks to join: made on the node; only the public half leaves it.

use std::path::Path;

use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::pki::PkiError;
use keymoot_crypto::secret_file;

/// The key pair of a node.
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// Reads the key file, or makes a new one with mode 0600. A node that asks again after a crash uses the
    /// same key, and so gets the same id.
    ///
    /// # Errors
    /// [`PkiError`] when the file cannot be read or made, or others can access it.
    pub fn load_or_create(path: &Path) -> Result<Self, PkiError> {
        if path.exists() {
            return Self::load(path);
        }
        let key = KeyPair::generate().map_err(PkiError::Make)?;
        secret_file::create(path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
        Ok(Self(key))
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// [`PkiError`] when it cannot be read, holds no key, or others can access it.
    pub fn load(path: &Path) -> Result<Self, PkiError> {
        let pem = secret_file::read(path)?;
        let key = std::str::from_utf8(pem.expose()).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
        key.map(Self).ok_or_else(|| PkiError::NotAKey { path: path.to_owned() })
    }

    /// The public key, as it stands in a certificate.
    pub(super) fn public_key(&self) -> &[u8] {
        self.0.public_key_raw()
    }

    /// A certificate request, which proves possession of the private key. It carries no name: the cluster
    /// decides the id.
    ///
    /// # Errors
    /// [`PkiError::Make`] when the request cannot be signed.
    pub fn request(&self) -> Result<Vec<u8>, PkiError> {
        let request = CertificateParams::default().serialize_request(&self.0).map_err(PkiError::Make)?;
        Ok(request.der().to_vec())
    }
}

/// A certificate request whose proof was checked.
pub struct NodeRequest(pub(super) CertificateSigningRequestParams);

impl NodeRequest {
    /// The request of a key that is at hand.
    ///
    /// # Errors
    /// [`PkiError::Make`] when the request cannot be signed.
    pub fn of(key: &NodeKey) -> Result<Self, PkiError> {
        let der = key.request()?.into();
        CertificateSigningRequestParams::from_der(&der).map(Self).map_err(PkiError::Make)
    }

    /// Checks the proof. Everything else in the request is ignored.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        CertificateSigningRequestParams::from_der(&der.to_vec().into()).ok().map(Self)
    }

    /// SHA-256 of the public key.
    pub fn key_digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.public_key.der_bytes()).into()
    }
}
