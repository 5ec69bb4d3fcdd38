//! The TLS of a node towards its peers, which follows the node's certificate when that is renewed.
//!
//! Each connection is made with what the files held when they were read last. Files that cannot be used change
//! nothing. Open connections go on with what they began with.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{ClientConfig, ServerConfig};

use keymoot_model::ClusterName;

use super::config::{PeerCredentials, TlsError, Validity, peer_client_config, peer_server_config};
use super::followed_files::FollowedFiles;

/// The PEM files of a node.
#[derive(Clone, Debug)]
pub struct PeerTlsFiles {
    /// The certificates of the authorities that peers' certificates may be of.
    pub ca: PathBuf,
    /// The node's own certificate.
    pub cert: PathBuf,
    /// Its private key; a secret file.
    pub key: PathBuf,
}

impl PeerTlsFiles {
    /// Reads the files, and checks now what peers would refuse later.
    ///
    /// # Errors
    /// [`TlsError`], which names the file at fault.
    pub fn credentials(&self, cluster: &ClusterName) -> Result<PeerCredentials, TlsError> {
        PeerCredentials::load(&self.ca, &self.cert, &self.key, cluster)
    }
}

/// What connections are made with.
struct Material {
    credentials: PeerCredentials,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Material {
    fn load(files: &PeerTlsFiles, cluster: &ClusterName) -> Result<Self, TlsError> {
        let credentials = files.credentials(cluster)?;
        let (server, client) = (peer_server_config(&credentials)?, peer_client_config(&credentials)?);
        Ok(Self { credentials, server, client })
    }
}

/// The TLS of a node towards its peers. Cheap to clone.
#[derive(Clone)]
pub struct PeerTls(Arc<Shared>);

struct Shared {
    files: PeerTlsFiles,
    current: ArcSwap<Material>,
    followed: FollowedFiles,
}

impl PeerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], which names the file at fault.
    pub fn load(files: PeerTlsFiles, cluster: &ClusterName) -> Result<Self, TlsError> {
        let followed = FollowedFiles::new(vec![files.ca.clone(), files.cert.clone(), files.key.clone()]);
        let current = ArcSwap::from_pointee(Material::load(&files, cluster)?);
        Ok(Self(Arc::new(Shared { files, current, followed })))
    }

    /// The listening side, for the next connection.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.0.current.load().server.clone()
    }

    /// The dialling side, for the next connection.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        self.0.current.load().client.clone()
    }

    /// Where the certificate and its key are.
    pub fn files(&self) -> &PeerTlsFiles {
        &self.0.files
    }

    /// How long the certificate in use is valid.
    pub fn validity(&self) -> Option<Validity> {
        self.0.current.load().credentials.validity()
    }

    /// SHA-256 of the public key in the certificate in use.
    pub fn key_digest(&self) -> Option<[u8; 32]> {
        self.0.current.load().credentials.key_digest()
    }

    /// Whether the authority in `authority_pem` signed the certificate in use, which is valid now.
    pub fn is_of(&self, authority_pem: &str) -> bool {
        self.0.current.load().credentials.is_of(authority_pem)
    }

    /// The certificates of the trusted authorities, PEM.
    pub fn authority_pem(&self) -> String {
        self.0.current.load().credentials.authority_pem()
    }

    /// Reads the files again if one of them changed since the last check, and returns whether it did.
    ///
    /// # Errors
    /// [`TlsError`] when the files cannot be used, or the certificate is another node's; the old material stays
    /// in use until they change again.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.0.followed.if_changed(|| {
            let now = self.0.current.load();
            let next = Material::load(&self.0.files, now.credentials.cluster())?;
            let (found, expected) = (next.credentials.identity(), now.credentials.identity());
            if found != expected {
                return Err(TlsError::OtherIdentity { found, expected });
            }
            self.0.current.store(Arc::new(next));
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::ClusterCa;

    #[test]
    fn a_renewed_certificate_is_used_and_another_nodes_or_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let cluster = ClusterName::new("moot").unwrap();
        let ca = ClusterCa::generate(&cluster).unwrap();
        ca.save_new(&path("ca.pem"), &path("ca-key.pem")).unwrap();
        let mut later = SystemTime::now();
        let mut issue = |id| {
            for file in ["node.pem", "node-key.pem"] {
                let _ = std::fs::remove_file(path(file));
            }
            ca.issue_node(id).unwrap().save_new(&path("node.pem"), &path("node-key.pem")).unwrap();
            // File system clocks are coarse; the test must not depend on their resolution.
            later += Duration::from_secs(5);
            std::fs::File::open(path("node.pem")).unwrap().set_modified(later).unwrap();
        };
        issue(7);
        let files = PeerTlsFiles { ca: path("ca.pem"), cert: path("node.pem"), key: path("node-key.pem") };
        let tls = PeerTls::load(files, &cluster).unwrap();
        let (server, client) = (tls.server_config(), tls.client_config());
        assert!(!tls.reload().unwrap());
        assert!(Arc::ptr_eq(&server, &tls.server_config()));
        issue(7);
        assert!(tls.reload().unwrap());
        assert!(!Arc::ptr_eq(&server, &tls.server_config()) && !Arc::ptr_eq(&client, &tls.client_config()));
        let renewed = tls.server_config();
        issue(8);
        assert!(matches!(tls.reload(), Err(TlsError::OtherIdentity { .. })));
        std::fs::write(path("node.pem"), "no certificate").unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::NoCertificate { .. })));
        assert!(Arc::ptr_eq(&renewed, &tls.server_config()), "what was in use stays");
    }
}
