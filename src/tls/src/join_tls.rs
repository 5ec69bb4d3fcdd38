//! TLS of a node that has no certificate yet: it trusts only members whose certificate chain ends at the
//! authority that its token pins.
//!
//! Members send their authority's certificate along, because the new node does not have it yet. The check is
//! part of the handshake: a connection to a man in the middle is closed before any data is sent.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

use keymoot_model::ClusterName;

use super::config::{TlsError, provider};
use super::{PeerIdentity, server_name_of};

/// The ALPN name of the first join protocol, which has no proof of a master key. A member answers it with a
/// hint to upgrade, and admits nobody.
pub const JOIN_ALPN: &[u8] = b"keymoot-join/1";
/// The ALPN name of the join protocol.
pub const JOIN_ALPN_2: &[u8] = b"keymoot-join/2";
/// The ALPN name of the protocol by which a node whose certificate has ended is given its next one.
pub const RENEW_ALPN: &[u8] = b"keymoot-renew/1";

/// The ALPN name of the protocol by which a witness joins, which has no master key to prove.
pub const WITNESS_ALPN: &[u8] = b"keymoot-witness/1";

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate.as_ref()).into()
}

/// SHA-256 of the public key in a certificate, which is the same in each one that is made for that key.
pub fn key_digest(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(Sha256::digest(&parsed.public_key().subject_public_key.data).into())
}

/// The dialling side of a node without a certificate.
///
/// # Errors
/// [`TlsError`] when the crypto provider cannot do TLS 1.3, which the tests rule out.
pub fn join_client_config(cluster: &ClusterName, authority: [u8; 32]) -> Result<Arc<ClientConfig>, TlsError> {
    // An older member agrees on the first version, which tells it apart from a server that is no member.
    pinned(cluster, authority, &[JOIN_ALPN_2, JOIN_ALPN])
}

/// The dialling side of a node whose certificate has ended, and which trusts this authority.
///
/// # Errors
/// As for [`join_client_config`].
pub fn renewal_client_config(
    cluster: &ClusterName,
    authority: [u8; 32],
) -> Result<Arc<ClientConfig>, TlsError> {
    pinned(cluster, authority, &[RENEW_ALPN])
}

/// The dialling side of a witness that wants to join.
///
/// # Errors
/// As for [`join_client_config`].
pub fn witness_client_config(
    cluster: &ClusterName,
    authority: [u8; 32],
) -> Result<Arc<ClientConfig>, TlsError> {
    pinned(cluster, authority, &[WITNESS_ALPN])
}

fn pinned(cluster: &ClusterName, authority: [u8; 32], alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, TlsError> {
    let algorithms = provider().signature_verification_algorithms;
    let pinned = PinnedAuthority { cluster: cluster.clone(), authority, algorithms };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Pair)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Trusts nodes of one cluster under one authority.
#[derive(Debug)]
struct PinnedAuthority {
    cluster: ClusterName,
    authority: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let refused = |text: &str| rustls::Error::General(text.to_owned());
        let authority = intermediates.iter().find(|certificate| fingerprint(certificate) == self.authority);
        let authority = authority.ok_or_else(|| {
            refused("the member does not belong to the authority that the join token names; somebody may be in between")
        })?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|_| refused("the authority that the join token names cannot be used"))?;
        // Any node of the cluster is acceptable, so the demanded name is the one that the node shows.
        let name = match PeerIdentity::from_certificate(end_entity, &self.cluster) {
            Ok(PeerIdentity::Node(id)) => server_name_of(id, &self.cluster),
            Ok(PeerIdentity::Operator) => return Err(refused("the member shows an operator's certificate")),
            Err(error) => Err(error),
        };
        let name = name.map_err(|error| refused(&error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], &name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
