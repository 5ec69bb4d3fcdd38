//! The credential of an operator: key, certificate and the cluster's authority, in one PEM file.
//!
//! The key is made where the operator is; only the request with its public half leaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use keymoot_crypto::SecretBytes;
use keymoot_crypto::secret_file::{self, SecretFileError};
use keymoot_model::{ClusterName, Fingerprint, OperatorName};

use super::node_key::NodeRequest;
use super::pki::{ClusterCa, OperatorIssued, PkiError};

/// A key of an operator that has no certificate yet.
pub struct OperatorKey(KeyPair);

/// An operator's credential as it was read.
pub struct OperatorCredential {
    pem: SecretBytes,
    /// The authority of the nodes that it is shown to.
    authority: CertificateDer<'static>,
    /// The cluster that it is of.
    pub cluster: ClusterName,
    /// The name that it was made for. What counts is the name in the cluster's records.
    pub name: OperatorName,
    pub fingerprint: Fingerprint,
    /// Its end: seconds since 1970 UTC.
    pub expires_at_s: u64,
}

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OperatorCredentialError {
    /// The file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The file is no credential.
    #[error(
        "{} is no operator's credential: it must hold a private key, the operator's certificate and the cluster's \
         authority in PEM, as keymoot operator add writes them", path.display()
    )]
    Form { path: PathBuf },
}

impl OperatorKey {
    /// Makes a key.
    ///
    /// # Errors
    /// [`PkiError::Make`] when none can be made.
    pub fn generate() -> Result<Self, PkiError> {
        KeyPair::generate().map(Self).map_err(PkiError::Make)
    }

    /// A certificate request in PEM, which proves possession of the key. The cluster decides the name.
    ///
    /// # Errors
    /// [`PkiError::Make`] when it cannot be signed.
    pub fn request_pem(&self) -> Result<String, PkiError> {
        let request = CertificateParams::default().serialize_request(&self.0).map_err(PkiError::Make)?;
        request.pem().map_err(PkiError::Make)
    }

    /// The credential's file, with the certificate that was signed for the key.
    pub fn credential(&self, certificate_pem: &str, authority_pem: &str) -> Zeroizing<String> {
        let key = Zeroizing::new(self.0.serialize_pem());
        Zeroizing::new([key.trim_end(), certificate_pem.trim(), authority_pem.trim(), ""].join("\n"))
    }
}

impl ClusterCa {
    /// Makes a credential, where the authority's key is at hand. It opens nothing before it is registered.
    ///
    /// # Errors
    /// [`PkiError`] when no key or certificate can be made.
    pub fn issue_operator_credential(
        &self,
        name: &OperatorName,
        life: Duration,
    ) -> Result<Zeroizing<String>, PkiError> {
        let key = OperatorKey::generate()?;
        let request = CertificateParams::default().serialize_request(&key.0).map_err(PkiError::Make)?;
        let request = CertificateSigningRequestParams::from_der(request.der()).map_err(PkiError::Make)?;
        let issued = self.issue_operator_for(name, &NodeRequest(request), life)?;
        Ok(key.credential(&issued.certificate_pem, self.certificate_pem()))
    }
}

impl OperatorCredential {
    /// Reads a credential; nobody but its owner may be able to.
    ///
    /// # Errors
    /// [`OperatorCredentialError`] names the file.
    pub fn load(path: &Path) -> Result<Self, OperatorCredentialError> {
        let pem = secret_file::read(path)?;
        Self::parse(pem).ok_or_else(|| OperatorCredentialError::Form { path: path.to_owned() })
    }

    fn parse(pem: SecretBytes) -> Option<Self> {
        let text = std::str::from_utf8(pem.expose()).ok()?;
        PrivateKeyDer::from_pem_slice(text.as_bytes()).ok()?;
        let mut certificates = CertificateDer::pem_slice_iter(text.as_bytes());
        let (own, authority) = (certificates.next()?.ok()?, certificates.next()?.ok()?);
        let (_, parsed) = x509_parser::parse_x509_certificate(&own).ok()?;
        let mut organizations = parsed.subject().iter_organization();
        let cluster = ClusterName::new(organizations.next()?.as_str().ok()?).ok()?;
        let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
        let name = OperatorName::new(name).ok()?;
        let OperatorIssued { fingerprint, expires_at_s, .. } = OperatorIssued::from_der(&own)?;
        Some(Self { authority, cluster, name, fingerprint, expires_at_s, pem })
    }

    /// The whole file, in PEM.
    pub fn pem(&self) -> &SecretBytes {
        &self.pem
    }

    /// SHA-256 of the authority's certificate.
    pub fn authority_fingerprint(&self) -> [u8; 32] {
        super::fingerprint(&self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateSigningRequestDer;

    #[test]
    fn a_credential_reads_back_and_half_of_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let ca = ClusterCa::generate(&ClusterName::new("moot").unwrap()).unwrap();
        let (key, name) = (OperatorKey::generate().unwrap(), OperatorName::new("alice").unwrap());
        let request = key.request_pem().unwrap();
        let der = CertificateSigningRequestDer::from_pem_slice(request.as_bytes()).unwrap();
        let request = NodeRequest::from_der(&der).unwrap();
        let issued = ca.issue_operator_for(&name, &request, Duration::from_secs(60)).unwrap();
        let write = |file: &str, text: &str| {
            let path = dir.path().join(file);
            secret_file::create(&path, text.as_bytes()).unwrap();
            OperatorCredential::load(&path)
        };
        let text = key.credential(&issued.certificate_pem, ca.certificate_pem());
        let read = write("whole.pem", &text).unwrap();
        assert_eq!((read.cluster.as_str(), read.name.as_str()), ("moot", "alice"));
        assert_eq!((read.fingerprint, read.expires_at_s), (issued.fingerprint, issued.expires_at_s));
        let half = write("half.pem", &key.credential(&issued.certificate_pem, "")).err().unwrap();
        assert!(half.to_string().contains("half.pem is no operator's credential"), "{half}");
    }
}
