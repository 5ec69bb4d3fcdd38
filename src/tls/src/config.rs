//! TLS configurations: between peers TLS 1.3 and certificates of the cluster on both sides,
//! on the API listener TLS 1.2 or 1.3 with the operator's own certificate.
//!
//! The crypto provider is named wherever one is needed, never taken from a process default.
//! Peer connections live long, so they resume no session: every one proves its identity anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ConfigBuilder, ConnectionCommon, RootCertStore, ServerConfig, WantsVerifier};

use keymoot_crypto::secret_file::{self, SecretFileError};
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::ClusterName;

use super::{IdentityError, JOIN_ALPN, JOIN_ALPN_2, PeerIdentity, fingerprint};

/// What peers speak inside TLS; another version of the peer protocol gets another name.
pub const PEER_ALPN: &[u8] = b"keymoot-peer/1";
/// The second version of the peer protocol: the first, and what [`PeerVersion::Second`] adds.
pub const PEER_ALPN_2: &[u8] = b"keymoot-peer/2";
/// The label under which a connection's binding is exported (RFC 8446, 7.5).
const BINDING_LABEL: &[u8] = b"EXPORTER-keymoot-peer-binding";

/// What was agreed in a finished handshake.
///
/// # Errors
/// When the handshake is not finished.
pub fn peer_channel<Side>(session: &ConnectionCommon<Side>) -> Result<PeerChannel, rustls::Error> {
    let version = match session.alpn_protocol() {
        Some(PEER_ALPN_2 | JOIN_ALPN_2) => PeerVersion::Second,
        _ => PeerVersion::First,
    };
    let binding = session.export_keying_material([0; 32], BINDING_LABEL, None)?;
    Ok(PeerChannel { version, binding })
}

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A private key file could not be read, or is reachable by others.
    #[error(transparent)]
    KeyFile(#[from] SecretFileError),
    /// A private key file holds no key.
    #[error("{} holds no private key in PEM", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate file cannot be read or holds no certificate.
    #[error("{} holds no certificate in PEM that can be read", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// The authority's certificate is not one.
    #[error("the cluster's CA certificate cannot be used")]
    Authority(#[source] VerifierBuilderError),
    /// The node's certificate would be refused by every peer.
    #[error("this node's certificate is not valid under the cluster's CA")]
    NotTrusted(#[source] rustls::Error),
    /// The node's certificate names nobody.
    #[error("this node's certificate carries no identity")]
    Identity(#[source] IdentityError),
    /// Certificate and key do not make a working pair.
    #[error("certificate and private key cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// What a peer proves itself with: the cluster's CA, its own certificate and key.
pub struct PeerCredentials {
    cluster: ClusterName,
    identity: PeerIdentity,
    roots: Arc<RootCertStore>,
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// What the CA file holds, to be shown to nodes that do not have it yet.
    authority: Vec<CertificateDer<'static>>,
}

impl PeerCredentials {
    /// Reads the three PEM files and checks at once what peers would refuse later.
    ///
    /// # Errors
    /// [`TlsError`], naming the file at fault.
    pub fn load(
        ca_file: &Path,
        cert_file: &Path,
        key_file: &Path,
        cluster: &ClusterName,
    ) -> Result<Self, TlsError> {
        let authority = read_certificates(ca_file)?;
        Self::new(authority, read_certificates(cert_file)?, read_key(key_file)?, cluster)
    }

    /// As [`PeerCredentials::load`], from memory.
    ///
    /// # Errors
    /// [`TlsError`] when the certificate is not of this CA or carries no identity of `cluster`.
    pub fn new(
        authority: Vec<CertificateDer<'static>>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        cluster: &ClusterName,
    ) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in &authority {
            roots.add(certificate.clone()).map_err(TlsError::NotTrusted)?;
        }
        let roots = Arc::new(roots);
        // Whoever shows no certificate is let through the handshake, and may then do one thing: join.
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
            .allow_unauthenticated()
            .build()
            .map_err(TlsError::Authority)?;
        let identity = PeerIdentity::of_connection(Some(&chain), cluster).map_err(TlsError::Identity)?;
        if let Some((own, intermediates)) = chain.split_first() {
            verifier.verify_client_cert(own, intermediates, UnixTime::now()).map_err(TlsError::NotTrusted)?;
        }
        Ok(Self { cluster: cluster.clone(), identity, roots, verifier, chain, key, authority })
    }

    /// Who these credentials prove to be.
    pub fn identity(&self) -> PeerIdentity {
        self.identity
    }

    /// SHA-256 of the certificate of the authority, the first of its file.
    pub fn authority_fingerprint(&self) -> Option<[u8; 32]> {
        self.authority.first().map(fingerprint)
    }

    /// The certificates of the authority, PEM.
    pub fn authority_pem(&self) -> String {
        self.authority.iter().map(|certificate| pem_of(certificate)).collect()
    }

    /// Until when the own certificate is valid: seconds since 1970 UTC.
    pub fn expires_at_s(&self) -> Option<i64> {
        self.chain.first().and_then(expires_at_s)
    }

    /// The cluster they belong to.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }
}

/// Until when a certificate is valid: seconds since 1970 UTC.
pub(super) fn expires_at_s(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// The listening side between peers. A client without a certificate gets through the handshake too, to
/// join: whoever serves connections must look at the certificate, and at the protocol that was agreed.
///
/// # Errors
/// [`TlsError::Pair`] when certificate and key do not belong together.
pub fn peer_server_config(credentials: &PeerCredentials) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Pair)?
        .with_client_cert_verifier(credentials.verifier.clone())
        .with_single_cert(
            [credentials.chain.as_slice(), &credentials.authority].concat(),
            credentials.key.clone_key(),
        )
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = [PEER_ALPN_2, PEER_ALPN, JOIN_ALPN_2, JOIN_ALPN].map(<[u8]>::to_vec).into();
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// The dialling side between peers; the server must prove the name demanded of it, see
/// [`super::server_name_of`].
///
/// # Errors
/// [`TlsError::Pair`] when certificate and key do not belong together.
pub fn peer_client_config(credentials: &PeerCredentials) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Pair)?
        .with_root_certificates(credentials.roots.clone())
        .with_client_auth_cert(credentials.chain.clone(), credentials.key.clone_key())
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![PEER_ALPN_2.to_vec(), PEER_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The dialling side towards servers that are not of the cluster: they must show a certificate of an
/// authority in `ca_file`, or, without one, of an authority of the public web.
///
/// # Errors
/// [`TlsError`], naming the file when it holds no certificate.
pub fn web_client_config(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            for certificate in read_certificates(file)? {
                roots.add(certificate).map_err(TlsError::NotTrusted)?;
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Pair)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The versions that the API listener speaks: TLS 1.2 and 1.3.
pub(super) fn api_builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Pair)
}

/// The certificate chain and key of these PEM files, which must belong together.
pub(super) fn certified_key(cert_file: &Path, key_file: &Path) -> Result<CertifiedKey, TlsError> {
    CertifiedKey::from_der(read_certificates(cert_file)?, read_key(key_file)?, &provider())
        .map_err(TlsError::Pair)
}

/// Checks that client certificates are of the authority in this PEM file; a client may show none.
pub(super) fn client_verifier(ca_file: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(ca_file)? {
        roots.add(certificate).map_err(TlsError::NotTrusted)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()
        .map_err(TlsError::Authority)
}

/// The one crypto provider of the program.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn pem_of(certificate: &CertificateDer<'_>) -> String {
    let encoded = STANDARD.encode(certificate);
    let lines = encoded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::NoCertificate { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(Some(error)))?;
    if certificates.is_empty() { Err(failed(None)) } else { Ok(certificates) }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = secret_file::read(path)?;
    PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|_| TlsError::NoKey { path: path.to_owned() })
}

#[cfg(test)]
mod tests;
