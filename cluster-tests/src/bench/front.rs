//! A cluster behind TLS, whose clients authenticate by certificates instead of signatures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::http::HttpConnection;
use crate::authority::Authority;
use crate::wait::wait_until;
use crate::{Cluster, RigError, Signer, raw, secret_file};

const ACCOUNT: &str = "certified";
const SERVER: &str = "127.0.0.1";
const CLIENT: &str = "scrambler.example.net";
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The clients' access.
pub struct Front {
    /// The TLS connector with the client certificate.
    pub tls: TlsConnector,
    /// The account that the certificate proves; it signs nothing.
    pub signer: Signer,
}

impl Front {
    /// Adds an account that accepts nothing weaker than its certificate, and restarts every node
    /// behind TLS.
    ///
    /// # Errors
    /// When a node does not come back.
    pub fn put_before(cluster: &mut Cluster) -> Result<Self, RigError> {
        let authority = Authority::new()?;
        [SERVER, CLIENT].iter().try_for_each(|name| authority.issue(name))?;
        add_account(cluster)?;
        let front = Self { tls: connector(&authority)?, signer: Signer::new(ACCOUNT, "OVP", "") };
        let files = [
            ("KEYMOOT__HTTP__TLS_CERT_FILE", authority.text(&format!("{SERVER}.pem"))),
            ("KEYMOOT__HTTP__TLS_KEY_FILE", authority.text(&format!("{SERVER}.key"))),
            ("KEYMOOT__HTTP__TLS_CLIENT_CA_FILE", authority.text("ca.pem")),
        ];
        let env: Vec<(&str, &str)> = files.iter().map(|(name, file)| (*name, file.as_str())).collect();
        for node in cluster.nodes().to_vec() {
            cluster.stop(node.id)?;
            cluster.start_with_env(node.id, &env)?;
            wait_until("a node to be ready behind TLS", READY_WITHIN, || {
                let answer = front.read(node.api, "/readyz")?;
                if answer.status == 200 { Ok(()) } else { Err(RigError::Answer(answer.text())) }
            })?;
        }
        Ok(front)
    }

    /// The answer of a node to GET.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn read(&self, node: SocketAddr, path: &str) -> Result<raw::Answer, RigError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(RigError::io("cannot start an event loop"))?.block_on(async {
            let mut connection = HttpConnection::open(node, Some(&self.tls)).await?;
            connection.ask(&raw::request("GET", path, &[], &[])).await
        })
    }
}

fn add_account(cluster: &Cluster) -> Result<(), RigError> {
    let mark = cluster.dir().join("certified.mark");
    secret_file::write(&mark, &format!("dns:{CLIENT}"))?;
    let credential = format!("cert:encryption:mutual-tls:{}", mark.display());
    cluster.add_account(ACCOUNT, &["--minimum-scheme", "mutual-tls", "--credential", &credential])
}

fn connector(authority: &Authority) -> Result<TlsConnector, RigError> {
    let no_pem = |_| RigError::Program("a certificate that was just made cannot be read".to_owned());
    let no_tls = |error| RigError::Program(format!("TLS cannot be set up: {error}"));
    let certificate = |name: &str| CertificateDer::from_pem_file(authority.path(name)).map_err(no_pem);
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")?).map_err(no_tls)?;
    let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{CLIENT}.key"))).map_err(no_pem)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(no_tls)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(&format!("{CLIENT}.pem"))?], key)
        .map_err(no_tls)?;
    Ok(TlsConnector::from(Arc::new(config)))
}
