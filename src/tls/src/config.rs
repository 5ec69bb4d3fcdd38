//! TLS configurations: between peers TLS 1.3 and certificates of the cluster on both sides,
//! on the API listener TLS 1.2 or 1.3 with the operator's own certificate.
//!
//! The crypto provider is named wherever one is needed, never taken from a process default. Peer connections
//! live long, so sessions are never resumed: every connection proves its identity again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::WantsVerifier;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, ConfigBuilder, ConnectionCommon, RootCertStore, ServerConfig};

use keymoot_crypto::secret_file::{self, SecretFileError};
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::ClusterName;

use super::{
    IdentityError, JOIN_ALPN, JOIN_ALPN_2, PeerIdentity, RENEW_ALPN, WITNESS_ALPN, fingerprint, key_digest,
};

/// The ALPN name of the peer protocol; another version of the protocol gets another name.
pub const PEER_ALPN: &[u8] = b"keymoot-peer/1";
/// The second version of the peer protocol: the first, plus the additions of [`PeerVersion::Second`].
pub const PEER_ALPN_2: &[u8] = b"keymoot-peer/2";
/// The third version of the peer protocol: the second, plus the additions of [`PeerVersion::Third`].
pub const PEER_ALPN_3: &[u8] = b"keymoot-peer/3";
/// The fourth version of the peer protocol: the third, plus the additions of [`PeerVersion::Fourth`].
pub const PEER_ALPN_4: &[u8] = b"keymoot-peer/4";
/// The label under which a connection's binding is exported (RFC 8446, 7.5).
const BINDING_LABEL: &[u8] = b"EXPORTER-keymoot-peer-binding";

/// The version and the binding that a finished handshake agreed on.
///
/// # Errors
/// When the handshake is not finished.
pub fn peer_channel<Side>(session: &ConnectionCommon<Side>) -> Result<PeerChannel, rustls::Error> {
    let version = match session.alpn_protocol() {
        Some(PEER_ALPN_4 | RENEW_ALPN | WITNESS_ALPN) => PeerVersion::Fourth,
        Some(PEER_ALPN_3) => PeerVersion::Third,
        Some(PEER_ALPN_2 | JOIN_ALPN_2) => PeerVersion::Second,
        _ => PeerVersion::First,
    };
    let binding = session.export_keying_material([0; 32], BINDING_LABEL, None)?;
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    Ok(PeerChannel { version, binding, peer_key: certificate.and_then(key_digest) })
}

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A private key file could not be read, or others can access it.
    #[error(transparent)]
    KeyFile(#[from] SecretFileError),
    /// A private key file holds no key.
    #[error("{} holds no private key in PEM", path.display())]
    NoKey { path: PathBuf },
    /// A certificate file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: std::io::Error,
    },
    /// A certificate file holds no certificate.
    #[error("{} holds no certificate in PEM that can be read", path.display())]
    NoCertificate { path: PathBuf, source: Option<rustls::pki_types::pem::Error> },
    /// The file of the authority holds no usable certificate.
    #[error("the cluster's CA certificate cannot be used")]
    Authority(#[source] VerifierBuilderError),
    /// Every peer would refuse the node's certificate.
    #[error("this node's certificate is not valid under the cluster's CA")]
    NotTrusted(#[source] rustls::Error),
    /// The node's certificate carries no identity.
    #[error("this node's certificate carries no identity")]
    Identity(#[source] IdentityError),
    /// Certificate and key do not make a working pair.
    #[error("certificate and private key cannot be used together")]
    Pair(#[source] rustls::Error),
    /// The certificate that took the place of the node's own is another node's.
    #[error("the certificate names {found}, and this is {expected}: give this node its own certificate")]
    OtherIdentity {
        /// The identity in the new certificate.
        found: PeerIdentity,
        /// The identity in the one in use.
        expected: PeerIdentity,
    },
}

impl TlsError {
    /// Whether the node's certificate is sound, and only not valid at this time: another one for the same key
    /// would do.
    pub fn is_out_of_date(&self) -> bool {
        let Self::NotTrusted(rustls::Error::InvalidCertificate(error)) = self else { return false };
        matches!(
            error,
            CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        )
    }
}

/// How long a certificate is valid, in seconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub not_before_s: i64,
    /// Until when.
    pub not_after_s: i64,
}

/// The credentials of a peer: the cluster's CA, its own certificate and key.
pub struct PeerCredentials {
    cluster: ClusterName,
    identity: PeerIdentity,
    roots: Arc<RootCertStore>,
    verifier: Arc<dyn ClientCertVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The certificates of the CA file, shown to nodes that do not have them yet.
    authority: Vec<CertificateDer<'static>>,
}

impl PeerCredentials {
    /// Reads the three PEM files and checks now what peers would refuse later.
    ///
    /// # Errors
    /// [`TlsError`], which names the file at fault.
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
    /// [`TlsError`] when this CA did not sign the certificate, or it carries no identity of `cluster`.
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
        // A client without a certificate passes the handshake; the only thing it may then do is join.
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

    /// The identity in the certificate.
    pub fn identity(&self) -> PeerIdentity {
        self.identity
    }

    /// SHA-256 of the authority's certificate, the first in the CA file.
    pub fn authority_fingerprint(&self) -> Option<[u8; 32]> {
        self.authority.first().map(fingerprint)
    }

    /// The certificates of the authority, PEM.
    pub fn authority_pem(&self) -> String {
        self.authority.iter().map(|certificate| pem_of(certificate)).collect()
    }

    /// SHA-256 of the public key in the own certificate.
    pub fn key_digest(&self) -> Option<[u8; 32]> {
        self.chain.first().and_then(key_digest)
    }

    /// Whether the authority in `authority_pem` signed the own certificate, which is valid now.
    pub fn is_of(&self, authority_pem: &str) -> bool {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(authority_pem.as_bytes());
        roots.add_parsable_certificates(certificates.flatten());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let (Ok(verifier), Some((own, between))) = (verifier, self.chain.split_first()) else { return false };
        verifier.verify_client_cert(own, between, UnixTime::now()).is_ok()
    }

    /// How long the own certificate is valid.
    pub fn validity(&self) -> Option<Validity> {
        self.chain.first().and_then(validity)
    }

    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }
}

/// How long a certificate is valid.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = certificate.validity();
    Some(Validity {
        not_before_s: validity.not_before.timestamp(),
        not_after_s: validity.not_after.timestamp(),
    })
}

/// The listening side between peers. A client without a certificate passes the handshake too, so that it can
/// join: code that serves connections must check the certificate and the agreed protocol.
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
    config.alpn_protocols =
        [PEER_ALPN_4, PEER_ALPN_3, PEER_ALPN_2, PEER_ALPN, JOIN_ALPN_2, JOIN_ALPN, RENEW_ALPN, WITNESS_ALPN]
            .map(<[u8]>::to_vec)
            .into();
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
    config.alpn_protocols = [PEER_ALPN_4, PEER_ALPN_3, PEER_ALPN_2, PEER_ALPN].map(<[u8]>::to_vec).into();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The dialling side towards servers outside the cluster. An authority in `ca_file` must have signed the
/// server's certificate; without a file, an authority of the public web. `own` names the certificate chain and the
/// private key that servers are shown which ask for one.
///
/// # Errors
/// [`TlsError`], which names the file, when one cannot be read or does not hold what it should.
pub fn web_client_config(
    ca_file: Option<&Path>,
    own: Option<(&Path, &Path)>,
) -> Result<ClientConfig, TlsError> {
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
    let builder = builder.with_root_certificates(roots);
    match own {
        None => Ok(builder.with_no_client_auth()),
        Some((cert_file, key_file)) => builder
            .with_client_auth_cert(read_certificates(cert_file)?, read_key(key_file)?)
            .map_err(TlsError::Pair),
    }
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

/// Verifies client certificates against the authority in this PEM file; a client may show none.
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
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(super) fn pem_of(certificate: &CertificateDer<'_>) -> String {
    let encoded = STANDARD.encode(certificate);
    let lines = encoded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::NoCertificate { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| match error {
        rustls::pki_types::pem::Error::Io(reason) => TlsError::Unreadable { path: path.to_owned(), reason },
        error => failed(Some(error)),
    })?;
    if certificates.is_empty() { Err(failed(None)) } else { Ok(certificates) }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = secret_file::read(path)?;
    PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|_| TlsError::NoKey { path: path.to_owned() })
}

#[cfg(test)]
mod tests;
