//! Replaces a listener's certificate and the authority of its clients while connections are served.
//!
//! Files are checked from time to time. When one changed, all are read and used from the next connection on;
//! files that cannot be used change nothing. Open connections keep the material that they started with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use super::PeerIdentity;
use super::config::{self, TlsError};
use super::followed_files::FollowedFiles;

/// The PEM files of a listener for clients.
#[derive(Clone, Debug)]
pub struct ApiTlsFiles {
    pub cert: PathBuf,
    /// The private key; a secret file.
    pub key: PathBuf,
    /// The authority of client certificates, if clients are asked for certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients without a certificate are refused. Without an authority all clients are refused.
    pub client_required: bool,
}

/// The certificate and the client verifier in use.
struct Material {
    certificate: Arc<CertifiedKey>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Material {
    fn load(files: &ApiTlsFiles) -> Result<Self, TlsError> {
        let clients = files.client_ca.as_deref().map(config::client_verifier).transpose()?;
        Ok(Self { certificate: Arc::new(config::certified_key(&files.cert, &files.key)?), clients })
    }
}

/// The TLS of a listener for clients; it follows changes of its files.
pub struct ApiTls {
    files: ApiTlsFiles,
    current: Arc<ArcSwap<Material>>,
    followed: FollowedFiles,
    /// Whether it is the listener of operators.
    for_operators: bool,
}

impl ApiTls {
    /// Reads the files of a listener for accounts.
    ///
    /// # Errors
    /// [`TlsError`], which names the file at fault.
    pub fn load(files: ApiTlsFiles) -> Result<Self, TlsError> {
        let paths = [Some(&files.cert), Some(&files.key), files.client_ca.as_ref()];
        let followed = FollowedFiles::new(paths.into_iter().flatten().cloned().collect());
        let current = Arc::new(ArcSwap::from_pointee(Material::load(&files)?));
        Ok(Self { files, current, followed, for_operators: false })
    }

    /// The same of the listener for operators. It takes every certificate of the authority, whatever names are in it:
    /// who is an operator is looked up at each request.
    ///
    /// # Errors
    /// [`TlsError`], which names the file at fault.
    pub fn load_for_operators(files: ApiTlsFiles) -> Result<Self, TlsError> {
        Ok(Self { for_operators: true, ..Self::load(files)? })
    }

    /// The configuration of the listener: TLS 1.2 or 1.3. If an authority is configured, clients may show a
    /// certificate of it. A certificate of another authority ends the connection, and so does one of a node or an
    /// operator at a listener for accounts, though the authority may be the cluster's; a client without one is
    /// accepted unless one is required.
    ///
    /// # Errors
    /// [`TlsError::Pair`] when the library cannot speak these versions.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let required = self.files.client_required;
        let (current, for_operators) = (self.current.clone(), self.for_operators);
        let follower = Arc::new(Follower { current, required, for_operators });
        let builder = config::api_builder()?;
        let builder = match self.files.client_ca {
            // Without an authority no certificate can satisfy the requirement, so every client is refused.
            ref authority if authority.is_some() || required => {
                builder.with_client_cert_verifier(follower.clone())
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(builder.with_cert_resolver(follower))
    }

    /// End of validity of the certificate in use: seconds since 1970 UTC.
    pub fn expires_at_s(&self) -> Option<i64> {
        let end = |validity: config::Validity| validity.not_after_s;
        self.current.load().certificate.cert.first().and_then(config::validity).map(end)
    }

    /// Reloads the files if one of them changed since the last check, and returns whether it did.
    ///
    /// # Errors
    /// [`TlsError`] when the files cannot be used; the old material stays in use until they change again.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.followed.if_changed(|| {
            self.current.store(Arc::new(Material::load(&self.files)?));
            Ok(())
        })
    }
}

/// Answers each handshake with the current material.
struct Follower {
    current: Arc<ArcSwap<Material>>,
    /// Whether a client must show a certificate.
    required: bool,
    for_operators: bool,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Follower(certificate and client authority)")
    }
}

impl ResolvesServerCert for Follower {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().certificate.clone())
    }
}

impl Follower {
    fn clients(&self) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
        let clients = self.current.load().clients.clone();
        clients.ok_or_else(|| rustls::Error::General("no authority of client certificates".to_owned()))
    }
}

impl ClientCertVerifier for Follower {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    /// No hints: the listener could not replace them later, and clients choose a certificate without them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.clients()?.verify_client_cert(end_entity, intermediates, now)?;
        match !self.for_operators && PeerIdentity::is_claimed_by(end_entity) {
            true => Err(CertificateError::ApplicationVerificationFailure.into()),
            false => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.clients()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.clients().map(|clients| clients.supported_verify_schemes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;
    use keymoot_model::ClusterName;

    use crate::ClusterCa;

    fn issue(directory: &Path) {
        let ca = ClusterCa::generate(&ClusterName::new("test").unwrap()).unwrap();
        for file in ["ca.pem", "ca-key.pem", "api.pem", "api-key.pem"] {
            let _ = std::fs::remove_file(directory.join(file));
        }
        ca.save_new(&directory.join("ca.pem"), &directory.join("ca-key.pem")).unwrap();
        let api = ca.issue_loopback_api().unwrap();
        api.save_new(&directory.join("api.pem"), &directory.join("api-key.pem")).unwrap();
        // File system clocks are coarse; the test must not depend on their resolution.
        let later = SystemTime::now() + Duration::from_secs(rand::random::<u16>().into());
        std::fs::File::open(directory.join("api.pem")).unwrap().set_modified(later).unwrap();
    }

    #[test]
    fn files_that_changed_are_used_and_such_as_cannot_be_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        issue(directory.path());
        let (cert, key, client_ca) = (path("api.pem"), path("api-key.pem"), Some(path("ca.pem")));
        let files = ApiTlsFiles { cert, key, client_ca, client_required: false };
        let tls = ApiTls::load(files).unwrap();
        assert!(tls.server_config().is_ok());
        let shown = || tls.current.load().certificate.cert.clone();
        let first = shown();
        assert!(!tls.reload().unwrap());
        issue(directory.path());
        assert!(tls.reload().unwrap());
        let second = shown();
        assert_ne!(first, second);
        std::fs::write(path("api.pem"), "not a certificate").unwrap();
        assert!(tls.reload().is_err());
        assert_eq!(shown(), second, "what was in use stays");
        assert!(!tls.reload().unwrap(), "the same fault is reported once");
    }
}
