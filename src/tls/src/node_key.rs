//! The key of a node that wants in: made where it stays, on the node; only the public half leaves.

use std::path::Path;

use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::pki::PkiError;
use keymoot_crypto::secret_file;

/// A node's key pair, in its file.
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// Reads the key file, or makes a new one, mode 0600. A node that asks again after a crash asks
    /// with the same key, and so gets the same id.
    ///
    /// # Errors
    /// [`PkiError`] when the file cannot be read, made, or is reachable by others.
    pub fn load_or_create(path: &Path) -> Result<Self, PkiError> {
        if path.exists() {
            let pem = secret_file::read(path)?;
            let key = std::str::from_utf8(pem.expose()).ok().and_then(|pem| KeyPair::from_pem(pem).ok());
            return key.map(Self).ok_or_else(|| PkiError::NotAKey { path: path.to_owned() });
        }
        let key = KeyPair::generate().map_err(PkiError::Make)?;
        secret_file::create(path, Zeroizing::new(key.serialize_pem()).as_bytes())?;
        Ok(Self(key))
    }

    /// A request for a certificate, which proves that the private key is there. It names nobody: the
    /// cluster decides on the id.
    ///
    /// # Errors
    /// [`PkiError::Make`].
    pub fn request(&self) -> Result<Vec<u8>, PkiError> {
        let request = CertificateParams::default().serialize_request(&self.0).map_err(PkiError::Make)?;
        Ok(request.der().to_vec())
    }
}

/// A request for a certificate, with its proof checked.
pub struct NodeRequest(pub(super) CertificateSigningRequestParams);

impl NodeRequest {
    /// Checks the proof. Whatever else the request asks for is ignored.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        CertificateSigningRequestParams::from_der(&der.to_vec().into()).ok().map(Self)
    }

    /// SHA-256 of the public key.
    pub fn key_digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.public_key.der_bytes()).into()
    }
}
