//! The certificate authorities that a CA file trusts.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use super::config::{TlsError, pem_of, read_certificates};
use super::fingerprint;

/// The authorities in a CA file.
#[derive(Debug)]
pub struct TrustedAuthorities {
    certificates: Vec<CertificateDer<'static>>,
}

impl TrustedAuthorities {
    /// Reads a CA file.
    ///
    /// # Errors
    /// [`TlsError`] when it holds no certificate.
    pub fn load(ca_file: &Path) -> Result<Self, TlsError> {
        Ok(Self { certificates: read_certificates(ca_file)? })
    }

    /// The authorities in this text; whatever is no certificate is left out.
    pub fn from_pem(pem: &str) -> Self {
        Self { certificates: CertificateDer::pem_slice_iter(pem.as_bytes()).flatten().collect() }
    }

    /// Whether a certificate signed by the authority in `pem` is valid under these. A verifier goes by
    /// the authority's name and key, so a renewed certificate of the same key counts too.
    pub fn include(&self, pem: &str) -> bool {
        let wanted = anchors(&Self::from_pem(pem).certificates);
        let known = anchors(&self.certificates);
        !wanted.is_empty() && wanted.iter().all(|anchor| known.contains(anchor))
    }

    /// These in another order and with others: the named ones first, in that order, and without the retired ones, as
    /// long as any is left.
    pub fn replaced(&self, named: &[&str], retired: &[String]) -> Self {
        let retired: Vec<_> = retired.iter().flat_map(|pem| Self::from_pem(pem).certificates).collect();
        let named = named.iter().flat_map(|pem| Self::from_pem(pem).certificates);
        let mut certificates: Vec<CertificateDer<'static>> = Vec::new();
        for certificate in named.chain(self.certificates.iter().cloned()) {
            if !certificates.contains(&certificate) && !retired.contains(&certificate) {
                certificates.push(certificate);
            }
        }
        Self { certificates: if certificates.is_empty() { self.certificates.clone() } else { certificates } }
    }

    /// SHA-256 of each certificate.
    pub fn digests(&self) -> Vec<[u8; 32]> {
        self.certificates.iter().map(fingerprint).collect()
    }

    /// The certificates, PEM.
    pub fn to_pem(&self) -> String {
        self.certificates.iter().map(|certificate| pem_of(certificate)).collect()
    }

    /// SHA-256 of the first certificate, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let bytes = self.certificates.first().map(fingerprint).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn anchors(certificates: &[CertificateDer<'static>]) -> Vec<TrustAnchor<'static>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates.iter().cloned());
    store.roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClusterCa;
    use keymoot_model::ClusterName;

    #[test]
    fn an_authority_is_known_by_name_and_key_and_no_other_of_its_name_is() {
        let ca = || ClusterCa::generate(&ClusterName::new("moot").unwrap()).unwrap();
        let (own, other) = (ca(), ca());
        let both = format!("{}{}", other.certificate_pem(), own.certificate_pem());
        let trusted = |pem: &str| TrustedAuthorities::from_pem(pem);
        assert!(trusted(own.certificate_pem()).include(own.certificate_pem()));
        assert!(trusted(&both).include(own.certificate_pem()));
        assert!(!trusted(own.certificate_pem()).include(other.certificate_pem()));
        assert!(!trusted(own.certificate_pem()).include("no certificate"));
        assert_ne!(trusted(own.certificate_pem()).fingerprint(), trusted(&both).fingerprint());
        // While one replaces the other, and afterwards.
        let (own, other) = (own.certificate_pem(), other.certificate_pem());
        let meanwhile = trusted(own).replaced(&[other, own], &[]);
        assert_eq!(meanwhile.digests(), trusted(&both).digests());
        let after = trusted(&meanwhile.to_pem()).replaced(&[other], &[own.to_owned()]);
        assert_eq!(after.digests(), trusted(other).digests());
        assert_eq!(trusted(own).replaced(&[], &[own.to_owned()]).digests(), trusted(own).digests());
    }
}
