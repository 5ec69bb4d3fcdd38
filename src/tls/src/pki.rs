//! The cluster's own certificate authority: only holders of its certificates are peers.
//!
//! Keys are ECDSA P-256. The authority signs end entities only (path length 0). Node certificates are valid
//! for servers and clients, the operator's for clients only. An API certificate is valid for servers only and
//! carries no identity, so it opens no peer connection.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration as StdDuration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use keymoot_crypto::secret_file::{self, SecretFileError};
use keymoot_crypto::{RandomError, SecretBytes, random_bytes};
use keymoot_model::{ClusterName, Fingerprint, NodeId, OperatorName};

use super::identity::OPERATOR_URI;
use super::{NodeRequest, PeerIdentity};

/// How long the authority is valid.
const CA_LIFE: Duration = Duration::days(20 * 365);
/// How long a certificate that no node renews is valid.
const LEAF_LIFE: Duration = Duration::days(5 * 365);
/// How long a node's certificate is valid, unless the configuration says otherwise.
pub const NODE_LIFE: StdDuration = StdDuration::from_secs(90 * 24 * 3600);
/// Certificates are valid from a day ago on, for peers whose clocks are behind.
const BACKDATE: Duration = Duration::days(1);

/// Why no certificate was made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[source] rcgen::Error),
    /// No serial number could be drawn.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A key file could not be read, or a file could not be written.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// A certificate file could not be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// The certificate is not of an authority made by Keymoot.
    #[error("{} is not a Keymoot certificate authority", path.display())]
    NotAnAuthority { path: PathBuf },
    /// The file holds no private key in PEM.
    #[error("{} holds no PKCS#8 private key in PEM", path.display())]
    NotAKey { path: PathBuf },
    /// The key belongs to another certificate.
    #[error("{} is not the private key of {}", key_file.display(), cert_file.display())]
    KeyMismatch { cert_file: PathBuf, key_file: PathBuf },
}

/// The authority of one cluster.
pub struct ClusterCa {
    cluster: ClusterName,
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its private key.
pub struct Issued {
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl ClusterCa {
    /// Makes a new authority for the cluster of that name.
    ///
    /// # Errors
    /// [`PkiError`] when no key or certificate can be made.
    pub fn generate(cluster: &ClusterName) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Make)?;
        let mut params = params_for(CA_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::OrganizationName, cluster.as_str());
        params.distinguished_name.push(DnType::CommonName, format!("Keymoot cluster {cluster}"));
        let certificate = params.self_signed(&key).map_err(PkiError::Make)?;
        Ok(Self {
            cluster: cluster.clone(),
            certificate_pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads an authority from its certificate and its private key, both in PEM.
    ///
    /// # Errors
    /// [`PkiError`] when a file cannot be read, others can access the key file, or the two do not belong
    /// together.
    pub fn load(cert_file: &Path, key_file: &Path) -> Result<Self, PkiError> {
        let not_an_authority = || PkiError::NotAnAuthority { path: cert_file.to_owned() };
        let certificate_pem = std::fs::read_to_string(cert_file)
            .map_err(|source| PkiError::Read { path: cert_file.to_owned(), source })?;
        let key = secret_file::read(key_file)?;
        let key = std::str::from_utf8(key.expose())
            .ok()
            .and_then(|pem| KeyPair::from_pem(pem).ok())
            .ok_or_else(|| PkiError::NotAKey { path: key_file.to_owned() })?;
        let der =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| not_an_authority())?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| not_an_authority())?;
        let cluster = parsed.subject().iter_organization().next().and_then(|name| name.as_str().ok());
        let cluster = cluster.and_then(|name| ClusterName::new(name).ok()).ok_or_else(not_an_authority)?;
        if !parsed.is_ca() {
            return Err(not_an_authority());
        }
        if parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(PkiError::KeyMismatch {
                cert_file: cert_file.to_owned(),
                key_file: key_file.to_owned(),
            });
        }
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(PkiError::Make)?;
        Ok(Self { cluster, certificate_pem, issuer })
    }

    /// An authority from its certificate and its private key, both in PEM, for this cluster.
    pub fn from_pem(cluster: &ClusterName, certificate_pem: &str, key_pem: &SecretBytes) -> Option<Self> {
        let key = KeyPair::from_pem(std::str::from_utf8(key_pem.expose()).ok()?).ok()?;
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).ok()?;
        let issuer = Issuer::from_ca_cert_der(&der, key).ok()?;
        Some(Self { cluster: cluster.clone(), certificate_pem: certificate_pem.to_owned(), issuer })
    }

    /// The private key in PEM, to be wrapped.
    pub fn key_pem(&self) -> SecretBytes {
        SecretBytes::new(self.issuer.key().serialize_pem().into_bytes())
    }

    /// Signs the certificate of a node that made its key itself, for so long. Returns the certificate in PEM.
    ///
    /// # Errors
    /// [`PkiError`] when no certificate can be made.
    pub fn issue_node_for(
        &self,
        id: NodeId,
        request: &NodeRequest,
        life: StdDuration,
    ) -> Result<String, PkiError> {
        let life = Duration::try_from(life).unwrap_or(LEAF_LIFE);
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let name = PeerIdentity::Node(id).dns_name(&self.cluster);
        let params = leaf(&name, vec![dns_name(&name)?], &both, life)?;
        let certificate = params.signed_by(&request.0.public_key, &self.issuer).map_err(PkiError::Make)?;
        Ok(certificate.pem())
    }

    /// Writes certificate and private key as new files; only the owner can access the key file.
    ///
    /// # Errors
    /// [`PkiError::File`] when one of them exists already or cannot be written.
    pub fn save_new(&self, cert_file: &Path, key_file: &Path) -> Result<(), PkiError> {
        save_pair(&self.certificate_pem, self.issuer.key(), cert_file, key_file)
    }

    /// The cluster this authority signs for.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The authority's certificate in PEM, which is not secret.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues the certificate of a node.
    ///
    /// # Errors
    /// [`PkiError`] when no key or certificate can be made.
    pub fn issue_node(&self, id: NodeId) -> Result<Issued, PkiError> {
        let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let name = PeerIdentity::Node(id).dns_name(&self.cluster);
        let life = Duration::try_from(NODE_LIFE).unwrap_or(LEAF_LIFE);
        self.issue_for(&name, vec![dns_name(&name)?], &both, life)
    }

    /// Issues the certificate of the operator.
    ///
    /// # Errors
    /// [`PkiError`] when no key or certificate can be made.
    pub fn issue_operator(&self) -> Result<Issued, PkiError> {
        let name = PeerIdentity::Operator.dns_name(&self.cluster);
        self.issue(&name, vec![dns_name(&name)?], &[ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// Signs the certificate of an operator who made the key. Its name is none of a peer, so it opens no peer
    /// connection.
    ///
    /// # Errors
    /// [`PkiError`] when no certificate can be made.
    pub fn issue_operator_for(
        &self,
        name: &OperatorName,
        request: &NodeRequest,
        life: StdDuration,
    ) -> Result<OperatorIssued, PkiError> {
        let params = self.operator_params(name, life)?;
        let expires_at_s = u64::try_from(params.not_after.unix_timestamp()).unwrap_or(0);
        let certificate = params.signed_by(&request.0.public_key, &self.issuer).map_err(PkiError::Make)?;
        Ok(OperatorIssued::new(certificate.pem(), certificate.der(), expires_at_s))
    }

    fn operator_params(&self, name: &OperatorName, life: StdDuration) -> Result<CertificateParams, PkiError> {
        let life = Duration::try_from(life).unwrap_or(LEAF_LIFE);
        let uri = format!("{OPERATOR_URI}{}/operator/{name}", self.cluster);
        let uri = SanType::URI(uri.try_into().map_err(PkiError::Make)?);
        let mut params = leaf(name.as_str(), vec![uri], &[ExtendedKeyUsagePurpose::ClientAuth], life)?;
        params.distinguished_name.push(DnType::OrganizationName, self.cluster.as_str());
        Ok(params)
    }

    /// Issues the certificate of an API listener on this host only: `localhost` and the loopback addresses.
    ///
    /// # Errors
    /// [`PkiError`] when no key or certificate can be made.
    pub fn issue_loopback_api(&self) -> Result<Issued, PkiError> {
        self.issue("localhost", loopback_names()?, &[ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// Signs the certificate of an API listener that made its key itself, for `names` (DNS names or addresses)
    /// beside those of this host, valid for so many days. Returns the certificate in PEM.
    ///
    /// # Errors
    /// [`PkiError`] when a name cannot stand in a certificate, or none can be made.
    pub fn issue_api_for(
        &self,
        names: &[&str],
        days: i64,
        request: &NodeRequest,
    ) -> Result<String, PkiError> {
        let mut all = loopback_names()?;
        for name in names {
            all.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => dns_name(name)?,
            });
        }
        let (name, purpose) = (names.first().unwrap_or(&"localhost"), [ExtendedKeyUsagePurpose::ServerAuth]);
        let params = leaf(name, all, &purpose, Duration::days(days))?;
        let certificate = params.signed_by(&request.0.public_key, &self.issuer).map_err(PkiError::Make)?;
        Ok(certificate.pem())
    }

    /// Issues the certificate of a client of the API for this DNS name, as an operator's own tool would.
    #[cfg(test)]
    pub(crate) fn issue_client(&self, name: &str) -> Result<Issued, PkiError> {
        self.issue(name, vec![dns_name(name)?], &[ExtendedKeyUsagePurpose::ClientAuth])
    }

    fn issue(
        &self,
        common_name: &str,
        names: Vec<SanType>,
        purposes: &[ExtendedKeyUsagePurpose],
    ) -> Result<Issued, PkiError> {
        self.issue_for(common_name, names, purposes, LEAF_LIFE)
    }

    fn issue_for(
        &self,
        common_name: &str,
        names: Vec<SanType>,
        purposes: &[ExtendedKeyUsagePurpose],
        life: Duration,
    ) -> Result<Issued, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Make)?;
        let params = leaf(common_name, names, purposes, life)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(PkiError::Make)?;
        Ok(Issued { certificate_pem: certificate.pem(), certificate: certificate.into(), key })
    }
}

impl Issued {
    /// Writes certificate and private key as new files; only the owner can access the key file.
    ///
    /// # Errors
    /// [`PkiError::File`] when one of them exists already or cannot be written.
    pub fn save_new(&self, cert_file: &Path, key_file: &Path) -> Result<(), PkiError> {
        save_pair(&self.certificate_pem, &self.key, cert_file, key_file)
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The private key, for a TLS configuration that is made in memory.
    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }
}

/// A certificate of an operator.
#[derive(Clone, Debug)]
pub struct OperatorIssued {
    pub certificate_pem: String,
    pub fingerprint: Fingerprint,
    /// Its end: seconds since 1970 UTC.
    pub expires_at_s: u64,
}

impl OperatorIssued {
    fn new(certificate_pem: String, der: &[u8], expires_at_s: u64) -> Self {
        Self { certificate_pem, fingerprint: fingerprint_of(der), expires_at_s }
    }

    /// Reads the first certificate of a PEM text.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        Some(Self { certificate_pem: pem.to_owned(), ..Self::from_der(&der)? })
    }

    /// The same of a certificate in DER, without its PEM.
    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
        let expires_at_s = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
        Some(Self::new(String::new(), der, expires_at_s))
    }
}

fn fingerprint_of(der: &[u8]) -> Fingerprint {
    Fingerprint::from_bytes(Sha256::digest(der).into())
}

fn save_pair(
    certificate_pem: &str,
    key: &KeyPair,
    cert_file: &Path,
    key_file: &Path,
) -> Result<(), PkiError> {
    let key_pem = Zeroizing::new(key.serialize_pem());
    secret_file::create(key_file, key_pem.as_bytes())?;
    // The certificate is public; mode 0600 would only hinder `curl --cacert`.
    Ok(secret_file::create_public(cert_file, certificate_pem.as_bytes())?)
}

fn leaf(
    common_name: &str,
    names: Vec<SanType>,
    purposes: &[ExtendedKeyUsagePurpose],
    life: Duration,
) -> Result<CertificateParams, PkiError> {
    let mut params = params_for(life)?;
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purposes.to_vec();
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn params_for(life: Duration) -> Result<CertificateParams, PkiError> {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = now - BACKDATE;
    params.not_after = now + life;
    params.serial_number = Some(SerialNumber::from_slice(&random_bytes::<16>()?));
    Ok(params)
}

fn loopback_names() -> Result<Vec<SanType>, PkiError> {
    Ok(vec![
        dns_name("localhost")?,
        SanType::IpAddress(IpAddr::from([127, 0, 0, 1])),
        SanType::IpAddress(IpAddr::from(std::net::Ipv6Addr::LOCALHOST)),
    ])
}

fn dns_name(name: &str) -> Result<SanType, PkiError> {
    Ok(SanType::DnsName(name.try_into().map_err(PkiError::Make)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeKey;

    fn ca(name: &str) -> ClusterCa {
        ClusterCa::generate(&ClusterName::new(name).unwrap()).unwrap()
    }

    #[test]
    fn issued_certificates_carry_their_identity() {
        let ca = ca("moot");
        let identity = |issued: Issued| PeerIdentity::from_certificate(&issued.certificate(), ca.cluster());
        assert_eq!(identity(ca.issue_node(3).unwrap()), Ok(PeerIdentity::Node(3)));
        assert_eq!(identity(ca.issue_operator().unwrap()), Ok(PeerIdentity::Operator));
        assert!(identity(ca.issue_loopback_api().unwrap()).is_err());
    }

    #[test]
    fn an_operators_certificate_is_no_peers_and_is_known_by_its_digest() {
        let (ca, dir) = (ca("moot"), tempfile::tempdir().unwrap());
        let key = NodeKey::load_or_create(&dir.path().join("key.pem")).unwrap();
        let request = NodeRequest::from_der(&key.request().unwrap()).unwrap();
        let (name, life) = (OperatorName::new("alice").unwrap(), StdDuration::from_secs(3600));
        let issued = ca.issue_operator_for(&name, &request, life).unwrap();
        let read = OperatorIssued::from_pem(&issued.certificate_pem).unwrap();
        assert_eq!((read.fingerprint, read.expires_at_s), (issued.fingerprint, issued.expires_at_s));
        let der = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap();
        assert!(PeerIdentity::from_certificate(&der, ca.cluster()).is_err(), "it opens the peer port");
        assert!(PeerIdentity::is_claimed_by(&der), "it opens a listener of accounts");
    }

    #[test]
    fn a_certificate_with_two_names_or_a_wildcard_is_nobodys() {
        let ca = ca("moot");
        let usage = [ExtendedKeyUsagePurpose::ClientAuth];
        let one = || dns_name("node-1.moot.keymoot.internal").unwrap();
        for names in [
            vec![one(), dns_name("operator.moot.keymoot.internal").unwrap()],
            vec![one(), SanType::IpAddress([10, 0, 0, 1].into())],
            vec![dns_name("*.moot.keymoot.internal").unwrap()],
            vec![],
        ] {
            let issued = ca.issue("x", names.clone(), &usage).unwrap();
            let identity = PeerIdentity::from_certificate(&issued.certificate(), ca.cluster());
            assert!(identity.is_err(), "{names:?}");
        }
    }

    #[test]
    fn an_authority_reads_back_and_still_signs() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("ca.pem"), dir.path().join("ca-key.pem"));
        ca("moot").save_new(&cert, &key).unwrap();
        let again = ClusterCa::load(&cert, &key).unwrap();
        assert_eq!(again.cluster().as_str(), "moot");
        assert!(again.issue_node(1).is_ok());
        assert!(again.save_new(&cert, &key).is_err(), "an authority was overwritten");
    }

    #[test]
    fn a_key_of_another_authority_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        ca("moot").save_new(&path("a.pem"), &path("a-key.pem")).unwrap();
        ca("moot").save_new(&path("b.pem"), &path("b-key.pem")).unwrap();
        let mixed = ClusterCa::load(&path("a.pem"), &path("b-key.pem"));
        assert!(matches!(mixed, Err(PkiError::KeyMismatch { .. })));
    }
}
