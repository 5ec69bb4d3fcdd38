//! Real handshakes, in memory: who is let in, and who is not.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::crypto::{ApiTls, ApiTlsFiles, ClusterCa, Issued, server_name_of};
use crate::model::NodeId;

fn cluster() -> ClusterName {
    ClusterName::new("moot").unwrap()
}

fn ca() -> ClusterCa {
    ClusterCa::generate(&cluster()).unwrap()
}

fn credentials(ca: &ClusterCa, issued: &Issued) -> PeerCredentials {
    let authority = CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap();
    PeerCredentials::new(vec![authority], vec![issued.certificate()], issued.private_key(), &cluster())
        .unwrap()
}

/// Shakes hands and passes one byte; the server's view of the client, or why there is none.
async fn shake(
    server: &PeerCredentials,
    client: Arc<ClientConfig>,
    demanded: NodeId,
) -> Result<PeerIdentity, String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let acceptor = TlsAcceptor::from(peer_server_config(server).unwrap());
    let connector = TlsConnector::from(client);
    let serve = async {
        let mut stream = acceptor.accept(far).await.map_err(|e| e.to_string())?;
        stream.write_all(b"!").await.map_err(|e| e.to_string())?;
        let (_, session) = stream.get_ref();
        PeerIdentity::of_connection(session.peer_certificates(), &cluster()).map_err(|e| e.to_string())
    };
    let dial = async {
        let name = server_name_of(demanded, &cluster()).unwrap();
        let mut stream = connector.connect(name, near).await.map_err(|e| e.to_string())?;
        stream.read_u8().await.map_err(|e| e.to_string())
    };
    let (served, dialled) = tokio::join!(serve, dial);
    dialled?;
    served
}

#[tokio::test]
async fn nodes_and_the_operator_of_one_cluster_know_each_other() {
    let ca = ca();
    let one = credentials(&ca, &ca.issue_node(1).unwrap());
    let two = credentials(&ca, &ca.issue_node(2).unwrap());
    let operator = credentials(&ca, &ca.issue_operator().unwrap());
    assert_eq!(two.identity(), PeerIdentity::Node(2));
    assert_eq!(shake(&one, peer_client_config(&two).unwrap(), 1).await, Ok(PeerIdentity::Node(2)));
    assert_eq!(shake(&one, peer_client_config(&operator).unwrap(), 1).await, Ok(PeerIdentity::Operator));
}

#[tokio::test]
async fn a_node_of_another_id_is_refused_by_the_dialling_side() {
    let ca = ca();
    let one = credentials(&ca, &ca.issue_node(1).unwrap());
    let two = credentials(&ca, &ca.issue_node(2).unwrap());
    let error = shake(&one, peer_client_config(&two).unwrap(), 3).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
}

#[tokio::test]
async fn an_operator_cannot_pass_for_a_node() {
    let ca = ca();
    let operator = credentials(&ca, &ca.issue_operator().unwrap());
    let two = credentials(&ca, &ca.issue_node(2).unwrap());
    assert!(shake(&operator, peer_client_config(&two).unwrap(), 1).await.is_err());
}

#[tokio::test]
async fn certificates_of_another_authority_are_refused_on_both_sides() {
    let (ours, theirs) = (ca(), ca());
    let one = credentials(&ours, &ours.issue_node(1).unwrap());
    let stranger = credentials(&theirs, &theirs.issue_node(2).unwrap());
    assert!(shake(&one, peer_client_config(&stranger).unwrap(), 1).await.is_err());

    // Even a client that trusts our authority is not let in with a certificate of another.
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ours.certificate_pem().as_bytes()).unwrap()).unwrap();
    let issued = theirs.issue_node(2).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![issued.certificate()], issued.private_key())
        .unwrap();
    config.alpn_protocols = vec![PEER_ALPN.to_vec()];
    assert!(shake(&one, Arc::new(config), 1).await.is_err());
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let ca = ca();
    let one = credentials(&ca, &ca.issue_node(1).unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.certificate_pem().as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![PEER_ALPN.to_vec()];
    assert!(shake(&one, Arc::new(config), 1).await.is_err());
}

#[test]
fn credentials_that_every_peer_would_refuse_do_not_load() {
    let (ours, theirs) = (ca(), ca());
    let authority = CertificateDer::from_pem_slice(ours.certificate_pem().as_bytes()).unwrap();
    let load = |issued: &Issued| {
        PeerCredentials::new(
            vec![authority.clone()],
            vec![issued.certificate()],
            issued.private_key(),
            &cluster(),
        )
    };
    assert!(matches!(load(&theirs.issue_node(1).unwrap()), Err(TlsError::NotTrusted(_))));
    assert!(matches!(load(&ours.issue_loopback_api().unwrap()), Err(TlsError::Identity(_))));
}

#[test]
fn files_load_and_an_exposed_key_file_does_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let ca = ca();
    ca.save_new(&path("ca.pem"), &path("ca-key.pem")).unwrap();
    ca.issue_node(1).unwrap().save_new(&path("n.pem"), &path("n-key.pem")).unwrap();
    ca.issue_loopback_api().unwrap().save_new(&path("api.pem"), &path("api-key.pem")).unwrap();
    let load = || PeerCredentials::load(&path("ca.pem"), &path("n.pem"), &path("n-key.pem"), &cluster());
    assert!(load().is_ok());
    let api = |key: &str, client_ca: Option<&str>| {
        let client_ca = client_ca.map(path);
        ApiTls::load(ApiTlsFiles { cert: path("api.pem"), key: path(key), client_ca, client_required: false })
            .map(drop)
    };
    assert!(api("api-key.pem", None).is_ok());
    assert!(api("api-key.pem", Some("ca.pem")).is_ok());
    assert!(matches!(api("api-key.pem", Some("api-key.pem")), Err(TlsError::NoCertificate { .. })));
    assert!(matches!(api("n-key.pem", None), Err(TlsError::Pair(_))));
    std::fs::set_permissions(path("n-key.pem"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(load(), Err(TlsError::KeyFile(SecretFileError::Exposed { .. }))));
}
